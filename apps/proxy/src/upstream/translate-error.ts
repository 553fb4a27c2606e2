import {
  type Endpoint,
  type PlainResponse,
  type ProblemCode,
  problemDefinitions,
  problemResponse,
  problemType,
} from "@letta-environments/schema";
import { passedFields } from "./upstream-limit-fields.ts";
import { parseJsonObject } from "./parse-json-object.ts";

/** Longest text of an upstream that is shown. */
const maxDetailLength = 500;

/**
 * Turns an error answer of the upstream into a problem with the same status. A server of ours keeps its code; any other is
 * `upstream_error` with the upstream's text. Whether a repeat is safe is the upstream's word where it gives one.
 */
export function translateError(endpoint: Endpoint, response: PlainResponse, credential: string | null): PlainResponse {
  const body = parseJsonObject(response.body) ?? {};
  const text = [body["message"], body["error"], body["detail"]].find((member) => typeof member === "string");
  const retryAfter = response.headers["retry-after"];
  return problemResponse(knownCode(body, response.status) ?? "upstream_error", {
    status: response.status,
    detail: publicText(text, credential) ?? `The upstream answered with status ${response.status}.`,
    retryable: isRetryable(endpoint, response),
    headers: {
      ...passedFields(response.headers),
      ...(retryAfter !== undefined && isRetryAfter(retryAfter) && { "retry-after": retryAfter }),
    },
  });
}

/** The code of a problem of ours; one whose `type` and status do not fit its code is somebody else's. */
function knownCode(body: Readonly<Record<string, unknown>>, status: number): ProblemCode | null {
  const code = body["errorCode"];
  if (typeof code !== "string" || !isProblemCode(code)) return null;
  return body["type"] === problemType(code) && problemDefinitions[code].status === status ? code : null;
}

function isProblemCode(code: string): code is ProblemCode {
  return Object.hasOwn(problemDefinitions, code);
}

/** Reads: a later try can succeed after 429 and 5xx. Sends: only where nothing can have been done, after 429 and 503. */
function isRetryable(endpoint: Endpoint, { status, headers }: PlainResponse): boolean {
  const said = headers["x-should-retry"];
  if (said === "true" || said === "false") return said === "true";
  return status === 429 || status === 503 || (endpoint.method === "GET" && status >= 500);
}

function publicText(text: unknown, credential: string | null): string | null {
  if (typeof text !== "string") return null;
  const scrubbed = credential === null || credential === "" ? text : text.replaceAll(credential, "[removed]");
  const shown = scrubbed
    .replace(/\p{Cc}+/gu, " ")
    .trim()
    .slice(0, maxDetailLength);
  return shown === "" ? null : shown.toWellFormed();
}

/** Seconds or an HTTP date (RFC 9110 section 10.2.3). */
function isRetryAfter(value: string): boolean {
  return /^[0-9]{1,6}$/.test(value) || /^[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT$/.test(value);
}
