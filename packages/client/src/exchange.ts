import { isJsonMediaType } from "@letta-environments/schema";
import { callFailed } from "./call-failed.ts";
import type { Deadline } from "./deadline.ts";
import { type ErrorCode, LettaEnvironmentsError } from "./error.ts";
import { httpError } from "./http-error.ts";
import { readBody } from "./read-body.ts";
import type { Settings } from "./settings.ts";
import type { TransportRequest, TransportResponse } from "./transport-request.ts";

/** One attempt: request, answer, body. Rejects with a `LettaEnvironmentsError`. */
export async function exchange(
  settings: Settings,
  url: string,
  request: TransportRequest,
  deadline: Deadline,
): Promise<TransportResponse> {
  const response = await open(settings, url, request, deadline);
  const { status, headers } = response;
  if (isRedirect(response)) {
    discard(response);
    throw unusable("redirected", "The server answered with a redirect; it was not followed.", response, request);
  }
  if (!response.ok) {
    const body = await readErrorBody(settings, response, request, deadline);
    const { repeatSafety, clientMessageIds } = request;
    const context = { repeatSafety, clientMessageIds, nowMs: settings.clock.now(), secret: settings.apiKey };
    throw httpError({ status, headers, body }, context);
  }
  if (!isJsonMediaType(headers.get("content-type") ?? undefined)) {
    discard(response);
    throw unusable("invalid_response", "The answer is not JSON.", response, request);
  }
  const body = await read(settings, response, request, deadline);
  if (body === null) throw unusable("response_too_large", tooLarge(settings), response, request);
  return { status, headers, value: parse(body, response, request) };
}

/** A browser hides the status of a redirect that it does not follow. */
function isRedirect({ type, status }: Response): boolean {
  return type === "opaqueredirect" || (status >= 300 && status < 400 && status !== 304);
}

async function open(settings: Settings, url: string, request: TransportRequest, deadline: Deadline): Promise<Response> {
  if (deadline.end() !== null) throw callFailed(request, deadline, undefined);
  const pending = startFetch(settings, url, request, deadline.signal);
  try {
    return await deadline.race(pending);
  } catch (cause) {
    // A `fetch` that does not know signals may still answer; nobody will read that.
    pending.then(discard, () => undefined);
    throw callFailed(request, deadline, cause);
  }
}

async function startFetch(
  { apiKey, fetch }: Settings,
  url: string,
  request: TransportRequest,
  signal: AbortSignal,
): Promise<Response> {
  const { method, body } = request;
  return await fetch(url, {
    method,
    headers: {
      accept: "application/json",
      authorization: `Bearer ${apiKey}`,
      ...(body !== null && { "content-type": "application/json" }),
    },
    ...(body !== null && { body }),
    redirect: "manual",
    signal,
  });
}

async function read(
  settings: Settings,
  response: Response,
  request: TransportRequest,
  deadline: Deadline,
): Promise<Uint8Array | null> {
  if (Number(response.headers.get("content-length")) > settings.maxResponseBytes) {
    discard(response);
    return null;
  }
  try {
    return await readBody(response, settings.maxResponseBytes, deadline);
  } catch (cause) {
    throw callFailed(request, deadline, cause);
  }
}

/** The status is worth more than its text: a body that breaks off is left out, unless the call itself ended. */
async function readErrorBody(
  settings: Settings,
  response: Response,
  request: TransportRequest,
  deadline: Deadline,
): Promise<Uint8Array | null> {
  try {
    return await read(settings, response, request, deadline);
  } catch (error) {
    if (deadline.end() !== null) throw error;
    return null;
  }
}

function parse(body: Uint8Array, response: Response, request: TransportRequest): unknown {
  try {
    return JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
  } catch {
    // The parser's own error repeats a part of the text.
    throw unusable("invalid_response", "The answer is not valid JSON in UTF-8.", response, request);
  }
}

function unusable(
  code: ErrorCode,
  message: string,
  response: Response,
  { clientMessageIds }: TransportRequest,
): LettaEnvironmentsError {
  const requestId = response.headers.get("x-request-id");
  return new LettaEnvironmentsError({
    code,
    message,
    retryable: false,
    status: response.status,
    clientMessageIds,
    ...(requestId !== null && { requestId }),
  });
}

function tooLarge({ maxResponseBytes }: Settings): string {
  return `The answer is larger than ${maxResponseBytes} bytes.`;
}

function discard(response: Response): void {
  response.body?.cancel().catch(() => undefined);
}
