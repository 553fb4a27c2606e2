/**
 * Validates the response of a remote server and turns it into the response for the caller. A success has the endpoint's success status and a JSON
 * object. Anything else becomes a problem, because authorisation and presentation read the body of a success only.
 */
import {
  type Endpoint,
  isJsonMediaType,
  type KnownEndpoint,
  type PlainHeaders,
  type PlainResponse,
  type ProblemCode,
  problemDefinitions,
  problemResponse,
  problemType,
} from "@letta-environments/schema";
import { invalidKey } from "../auth/authentication.ts";
import { type JsonObject, parseJsonObject } from "../lib/json.ts";
import type { UpstreamCredential } from "../ports.ts";
import { isProblemCode, publicMembers, publicText } from "./problem-members.ts";

/**
 * Returns the response for the caller. It passes on no header fields of the upstream but {@link rateLimitFieldsOf}, `Idempotency-Replayed: true` and
 * the `Retry-After` of errors. `x-should-retry` of an error decides that of the gateway's own response.
 */
export function validateResponse(
  endpoint: KnownEndpoint,
  response: PlainResponse,
  credential: UpstreamCredential | undefined,
): PlainResponse {
  const { status, headers, body } = response;
  // The gateway sends no conditional requests, so a 304 is invalid here, and it is not a redirect.
  if (status >= 300 && status < 400 && status !== 304) return problemResponse("upstream_redirected");
  if (status === 401 || status === 403) return credentialRefused(status, credential);
  if (status === 407) return proxyRefused;
  if (endpoint.extension === true && missingStatuses.has(status)) return missingResponse(endpoint, response);
  // RFC 9110 section 15 defines no status above 599.
  if (status >= 400 && status < 600) return translateError(endpoint, response, credential?.value ?? null);
  if (endpoint.response === null && status === endpoint.successStatus) {
    credential?.onCallerAccepted?.();
    return { status, headers: rateLimitFieldsOf(headers), body: null };
  }
  const contentType = headers["content-type"];
  const isJson = contentType !== undefined && isJsonMediaType(contentType);
  if (!isJson || status !== endpoint.successStatus || !isUsable(endpoint, body)) {
    return problemResponse("upstream_invalid_response");
  }
  credential?.onCallerAccepted?.();
  const replayed = headers["idempotency-replayed"];
  return {
    status,
    headers: {
      ...rateLimitFieldsOf(headers),
      "content-type": "application/json",
      ...(replayed === "true" && { "idempotency-replayed": replayed }),
    },
    body,
  };
}

/** Why a success that passed {@link validateResponse} cannot be used, for the log. */
export interface ContentFault {
  readonly reason: "invalid" | "other_device";
  /** Absent: that of the request. */
  readonly operation?: KnownEndpoint["operation"];
}

const contentFaults = new WeakMap<PlainResponse, ContentFault>();

/** Returns the problem for a success whose content cannot be used. It is reported when it becomes the response to the caller. */
export function refuseContent(
  fault: ContentFault = { reason: "invalid" },
  options: { readonly detail?: string } = {},
): PlainResponse {
  const response = problemResponse("upstream_invalid_response", options);
  contentFaults.set(response, fault);
  return response;
}

/** Returns the fault of a response that {@link refuseContent} made. */
export function contentFaultOf(response: PlainResponse): ContentFault | undefined {
  return contentFaults.get(response);
}

/**
 * Whether a body is a JSON object without a byte order mark, which a JSON text must not begin with (RFC 8259 section 8.1). The body of a read is
 * parsed once, where it is presented and its shape is checked; here it only has to begin and end like an object. The body of a send must say whether
 * it was successful; otherwise a server that is not an environment server would seem to have delivered the message.
 */
function isUsable({ method, operation }: KnownEndpoint, body: PlainResponse["body"]): boolean {
  if (!isLikeObject(body)) return false;
  if (method === "GET") return true;
  const value = parseJsonObject(body);
  return value !== null && (operation !== "sendMessage" || typeof value["success"] === "boolean");
}

function isLikeObject(body: PlainResponse["body"]): boolean {
  if (body === null || typeof body === "string") return /^\s*\{[^]*\}\s*$/.test(body ?? "");
  let [start, end] = [0, body.length - 1];
  while (isJsonSpace(body[start])) start += 1;
  while (isJsonSpace(body[end])) end -= 1;
  return start < end && body[start] === openingBrace && body[end] === closingBrace;
}

const openingBrace = 0x7b;
const closingBrace = 0x7d;

/** Insignificant whitespace (RFC 8259 section 2). */
function isJsonSpace(byte: number | undefined): boolean {
  return byte === 0x20 || byte === 0x0a || byte === 0x0d || byte === 0x09;
}

/** Callers can replace their own key, but not the gateway's credential. */
function credentialRefused(status: 401 | 403, credential: UpstreamCredential | undefined): PlainResponse {
  if (credential === undefined) {
    return problemResponse("upstream_credential_rejected", {
      detail: `The upstream refused a request without a credential (status ${status}): the gateway has none for it.`,
    });
  }
  if (credential.onCallerRefused === undefined) return problemResponse("upstream_credential_rejected");
  credential.onCallerRefused(status);
  return status === 401 ? invalidKey : problemResponse("upstream_forbidden");
}

/** With status 407 it would need `Proxy-Authenticate` (RFC 9110 section 15.5.8), and the `fetch` of callers rejects 407. */
const proxyRefused = problemResponse("upstream_credential_rejected", {
  detail: "A proxy in front of the upstream asks for a credential (status 407), and the gateway has none for it.",
});

/** Statuses of a server without an extension. It may match the path to another endpoint, which lacks the method or the device. */
const missingStatuses: ReadonlySet<number> = new Set([404, 405, 501]);

/** A server of this project says what it did not find with a code of the endpoint. The gateway then returns its own response for that code. */
function missingResponse({ problems }: Endpoint, response: PlainResponse): PlainResponse {
  const code = problemCodeOf(response);
  return code !== null && problems.includes(code) ? problemResponse(code) : unknownOperation;
}

const unknownOperation = problemResponse("endpoint_not_found", {
  detail: "The environment server behind this gateway does not have this operation.",
});

/**
 * Statuses whose responses must have `Allow` or `Upgrade` (RFC 9110 sections 15.5.6 and 15.5.22), which the gateway does not pass on; and those after
 * which clients repeat a request on their own (sections 15.5.9 and 15.5.20), as the Fetch standard does after 421: a message would be sent twice.
 * The log and the metrics take 499 for a caller of the gateway that has gone.
 */
const maskedStatuses: ReadonlySet<number> = new Set([405, 408, 421, 426, 499]);

/** Maximum size of an error whose members are read, in bytes. A problem of another gateway may repeat texts of a request, which has at most 1 MiB. */
const maxErrorLength = 2_097_152;

/**
 * Turns an error response into a problem with the same status, or with 502 for {@link maskedStatuses}. A problem of another gateway of this
 * project keeps its code; any other error is `upstream_error` with the upstream's text, except for a device that an environment server does not know.
 */
function translateError(endpoint: KnownEndpoint, response: PlainResponse, credential: string | null): PlainResponse {
  const json = parseError(response);
  const body = json ?? {};
  const text = [body["message"], body["error"], body["detail"]].find((member) => typeof member === "string");
  const retryAfter = response.headers["retry-after"];
  const keepsStatus = !maskedStatuses.has(response.status);
  const code = keepsStatus ? problemCodeOf(response) : null;
  // A web server that is not an environment server responds to every path with 404, mostly with a page.
  const isMissing = endpoint.operation === "retrieveEnvironment" && response.status === 404 && json !== null;
  if (code === null && isMissing)
    return problemResponse("environment_not_found", { headers: rateLimitFieldsOf(response.headers) });
  return problemResponse(code ?? "upstream_error", {
    ...(code !== null && publicMembers(code, body, credential)),
    status: keepsStatus ? response.status : 502,
    detail: publicText(text, credential) ?? `The upstream returned status ${response.status}.`,
    ...readRetryable(endpoint, response),
    headers: {
      ...rateLimitFieldsOf(response.headers),
      ...(retryAfter !== undefined && isRetryAfter(retryAfter) && { "retry-after": retryAfter }),
    },
  });
}

/** Returns the code of a problem of this project. Another server's problem has a `type` or a status that does not belong to the code. */
export function problemCodeOf(response: Pick<PlainResponse, "body" | "status">): ProblemCode | null {
  const problem = parseError(response);
  const code = problem?.["errorCode"];
  if (typeof code !== "string" || !isProblemCode(code)) return null;
  return problem?.["type"] === problemType(code) && problemDefinitions[code].status === response.status ? code : null;
}

/** Parses the body of an error; `null` when it is not a JSON object, or is a large one. */
export function parseError({ body }: Pick<PlainResponse, "body">): JsonObject | null {
  return (body?.length ?? 0) > maxErrorLength ? null : parseJsonObject(body);
}

/**
 * Whether the caller may repeat the request: what the upstream says, otherwise reads after 408, 429 and 5xx. Sends are decided in `send-outcome.ts`,
 * and commands in `extensions/forward.ts`.
 */
function readRetryable(
  { method }: KnownEndpoint,
  { status, headers }: PlainResponse,
): { readonly retryable?: boolean } {
  const shouldRetry = headers["x-should-retry"];
  if (shouldRetry === "true" || shouldRetry === "false") return { retryable: shouldRetry === "true" };
  return method === "GET" ? { retryable: status === 408 || status === 429 || status >= 500 } : {};
}

/** Whether a value is a number of seconds or an HTTP date (RFC 9110 section 10.2.3). */
function isRetryAfter(value: string): boolean {
  return /^[0-9]{1,6}$/.test(value) || /^[A-Z][a-z]{2}, [0-9]{2} [A-Z][a-z]{2} [0-9]{4} [0-9:]{8} GMT$/.test(value);
}

/** A list of Strings or Tokens with parameters (RFC 9651). The gateway appends its own members, so the upstream's list must be well-formed. */
const item = String.raw`(?:"(?:[ !#-\[\]-~]|\\["\\])*"|[A-Za-z*][\w!#$%&'*+.^\x60|~:/-]*)`;
const number = String.raw`-?(?:\d{1,12}\.\d{1,3}|\d{1,15})`;
const bytes = ":(?:B{4})*(?:B{2}(?:==)?|B{3}=?)?:".replaceAll("B", "[A-Za-z0-9+/]");
const bare = String.raw`(?:${item}|${number}|\?[01]|${bytes})`;
const member = String.raw`${item}(?:; *[a-z*][a-z0-9_.*-]*(?:=${bare})?)*`;
const listPattern = new RegExp(`^${member}(?:[ \\t]*,[ \\t]*${member})*$`);
const maxListLength = 1_024;

/** Fields of earlier drafts and of single vendors. They have no common syntax, so only their characters are checked. */
const olderName = /^(?:x-ratelimit-[a-z-]{1,32}|ratelimit-(?:limit|remaining|reset))$/;
const olderValue = /^[\x21-\x7e][\x20-\x7e]{0,127}$/;

/** Returns the well-formed fields that successes and errors pass on: callers see the upstream's rate limits in addition to the gateway's. */
export function rateLimitFieldsOf(headers: PlainHeaders): PlainHeaders {
  const passed: Record<string, string> = {};
  for (const [name, value] of Object.entries(headers)) {
    if (!name.includes("ratelimit")) continue;
    const isList = name === "ratelimit" || name === "ratelimit-policy";
    const isWellFormed = isList
      ? value.length <= maxListLength && listPattern.test(value)
      : olderName.test(name) && olderValue.test(value);
    if (isWellFormed) passed[name] = value;
  }
  return passed;
}
