/**
 * Turns the result of an attempt into data or error details: reads a body up to a size limit, removes the API key from error
 * bodies, checks that a page has the cursor of the next one, and describes in words why a connection failed.
 */
import type { Problem } from "@letta-environments/schema";
import { isRecord, isText } from "@letta-environments/schema/guards";
import { now } from "./adapters/platform.ts";
import { createError, type EnvironmentsError, type ErrorCode, type ErrorDetails } from "./error.ts";
import type { TransportResponse } from "./request.ts";

/** The stream of a body; `null` without a body, or if a `fetch` polyfill provides none, or a Node.js stream. */
export function streamOf(response: Response): ReadableStream<Uint8Array> | null {
  const body = response.body as Partial<ReadableStream<Uint8Array>> | null | undefined;
  return body?.getReader ? response.body : null;
}

/** Cancels a body that nobody reads, because it would keep the connection in use. */
export function discard(response: Response): void {
  streamOf(response)
    ?.cancel()
    .catch(() => undefined);
}

/**
 * Reads a body as UTF-8 and then cancels the rest. The signal also ends the read itself, in case `fetch` ignores signals. A body without a stream is
 * first read completely, and then measured in characters.
 *
 * @returns The text, or `null` if the body has more than `maxBytes` bytes. Rejects if the connection breaks or the signal is aborted.
 */
export async function readText(response: Response, maxBytes: number, signal: AbortSignal): Promise<string | null> {
  const reader = streamOf(response)?.getReader();
  if (!reader) {
    const text = await response.text();
    return text.length > maxBytes ? null : text;
  }
  const cancel = (): void => void reader.cancel().catch(() => undefined);
  signal.addEventListener("abort", cancel);
  try {
    const decoder = new TextDecoder();
    let text = "";
    let bytes = 0;
    for (;;) {
      // A signal of a polyfill has no `throwIfAborted`.
      if (signal.aborted) throw signal.reason;
      const { done, value } = await reader.read();
      if (done) return text;
      bytes += value.length;
      if (bytes > maxBytes) return null;
      text += decoder.decode(value, { stream: true });
    }
  } finally {
    cancel();
  }
}

/** Parses JSON; `undefined` if the text is empty, and `null` if it is not JSON. */
export function parseJson(text: string, revive?: (name: string, value: unknown) => unknown): unknown {
  try {
    return JSON.parse(text, revive);
  } catch {
    return text ? null : undefined;
  }
}

/** Returns the path of the first member of the sample that the value lacks or has with another type; `null` if it has them all. */
export function findMissing(sample: unknown, value: unknown, path = ""): string | null {
  if (Array.isArray(sample) && Array.isArray(value)) {
    const found = value.map((item, index) => findMissing(sample[0], item, `${path}[${index}]`));
    return found.find((each) => each !== null) ?? null;
  }
  if (!isRecord(sample)) return typeof sample === typeof value && !Array.isArray(sample) ? null : path;
  if (!isRecord(value)) return path;
  const found = Object.entries(sample).map(([name, member]) =>
    findMissing(member, value[name], path ? `${path}.${name}` : name),
  );
  return found.find((each) => each !== null) ?? null;
}

/** Size limit of an error body, in bytes. Looking for the API key in megabytes of values would block the process for seconds. */
const maxProblemBytes = 2 ** 16;

/**
 * Reads the error details in the body of an error response: problem details if there are any, otherwise the first line of a
 * JSON member that describes the error. Every occurrence of the API key in a string is replaced by `***`. A body that cannot be read has no details.
 */
export async function readProblem(
  response: Response,
  apiKey: string,
  signal: AbortSignal,
): Promise<Partial<ErrorDetails>> {
  // A key that is a plain word, as in tests, may be part of names and codes. It reveals nothing there, and the client must be able to compare them.
  const isWord = /^[a-z_]{1,16}$/i.test(apiKey);
  const redact = (part: string, isName: boolean): string =>
    isName && isWord && part !== apiKey ? part : part.replaceAll(apiKey, "***");
  const redacted = parseJson(
    (await readText(response, maxProblemBytes, signal).catch(() => null)) ?? "",
    (name, value) => {
      if (isText(value)) return redact(value, ["errorCode", "delivery", "type"].includes(name));
      if (!isRecord(value)) return value;
      return Object.fromEntries(Object.entries(value).map(([member, each]) => [redact(member, true), each]));
    },
  );
  const body: Partial<Record<string, unknown>> & Partial<Problem> = Object(redacted);
  const { errorCode, message, detail, error, title } = body;
  const line = [message, detail, error, title].find(isText)?.match(/^\P{Cc}{1,500}/u)?.[0];
  return {
    ...(isErrorCode(errorCode) && { code: errorCode }),
    ...(line && { message: line }),
    ...(isText(title) && { problem: body, issues: body.errors }),
  };
}

/** A server may send any code but `aborted`, which tells callers that they ended the call themselves. */
function isErrorCode(value: unknown): value is ErrorCode {
  return isText(value) && /^(?!aborted$)[\w.-]{1,64}$/.test(value);
}

/**
 * Epoch milliseconds by the server's clock if the response has a `Date` (a browser may hide it), else by the local one: neither
 * presence nor the date of a `Retry-After` may depend on the local clock being right.
 */
export function serverTimeMs({ headers }: Response): number {
  return Date.parse(`${headers.get("date")} GMT`) || now();
}

/**
 * Checks that a page which promises another one has the cursor for it. Otherwise the rest of the list would be silently missing.
 *
 * @throws LettaEnvironmentsError `invalid_response`
 */
export function checkNext(
  hasNextPage: boolean,
  member: string,
  value: unknown,
  page: TransportResponse<unknown>,
): void {
  if (hasNextPage && !value) throw createResponseError("invalid_response", page, `invalid response: ${member}`);
}

/** Creates an error about a success, without the API key, which the server may have repeated. */
export function createResponseError(
  code: ErrorCode,
  { response: { status, headers }, redact = String }: TransportResponse<unknown>,
  message: string,
): EnvironmentsError {
  const requestId = headers.get("x-request-id");
  return createError(code, { status, requestId: requestId && redact(requestId), message: redact(message) });
}

/** Readable reasons for the `code` or `message` that platforms report as the cause of a failed `fetch`. */
const failureReasons: readonly (readonly [RegExp, string])[] = [
  [/ECONNREFUSED|connection ?refused/i, "connection refused"],
  [/ENOTFOUND|EAI_AGAIN|dns error|failed to lookup/i, "host name not found"],
  [/timed ?out|timeout/i, "connection timed out"],
  [/UNREACH/i, "host unreachable"],
  [/ECONNRESET|EPIPE|UND_ERR_SOCKET|connection ?(reset|closed)/i, "connection closed"],
  [/CERT|SSL|TLS/i, "TLS certificate refused"],
];

/**
 * Describes a failed connection: `cannot reach http://127.0.0.1:8787: connection refused`. Never repeats the text of an error.
 *
 * @param hasResponse whether the connection failed only while the body of the response was read
 */
export function describeConnectionFailure(url: string, cause: unknown, hasResponse = false): string {
  let texts = "";
  try {
    // `fetch` of Node.js puts the reason into the cause of its error.
    texts = [cause, Object(cause).cause].map((error) => `${error} ${Object(error).code}`).join(" ");
  } catch {
    // Anything can be thrown, even a value that has no text, such as a symbol.
  }
  const [action, other] = hasResponse ? ["read the response from", "it broke off"] : ["reach", "no response"];
  const [, reason = other] = failureReasons.find(([pattern]) => pattern.test(texts)) ?? [];
  return `cannot ${action} ${new URL(url).origin}: ${reason}`;
}
