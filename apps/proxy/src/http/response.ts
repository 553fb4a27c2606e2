/** Responses of the gateway: the header fields that all of them have, streams, and failures that no step has handled. */
import { type PlainHeaders, type PlainResponse, problemResponse } from "@letta-environments/schema";
import { insufficientScopeChallenge, keyStoreUnavailable } from "../auth/authentication.ts";
import { KeyStoreUnavailableError } from "../keys/key-store-outages.ts";
import { rootCauseMessage } from "../lib/redact.ts";
import { parseJsonObject } from "../lib/json.ts";
import type { Telemetry } from "../telemetry.ts";
import { isRead } from "./gateway-request.ts";

/**
 * A response whose body is a stream that continues after the pipeline has completed the response, such as a stream of events. The steps
 * of the pipeline see a response without a body; the host sends the stream, chunk by chunk.
 */
export interface StreamedResponse extends PlainResponse {
  readonly body: null;
  readonly stream: ReadableStream<Uint8Array>;
}

export function isStreamed(response: object): response is StreamedResponse {
  return "stream" in response;
}

/** The response to an upgrade at a path without a WebSocket. */
export const noSocketHere: PlainResponse = problemResponse("endpoint_not_found", {
  detail: "No WebSocket is served at this path.",
});

/** Returns 405 for methods other than GET and HEAD, and `null` for these. */
export function refuseUnlessRead(method: string): PlainResponse | null {
  return isRead(method) ? null : wrongMethod;
}

const wrongMethod = problemResponse("method_not_allowed", { headers: { allow: "GET, HEAD" } });

/** Returns the code of an error response; `null` if it has none. Other servers' codes do not get here: see `upstream/validate-response.ts`. */
export function errorCodeOf({ status, body }: Pick<PlainResponse, "status" | "body">): string | null {
  const code = status < 400 ? null : parseJsonObject(body)?.["errorCode"];
  return typeof code === "string" ? code : null;
}

/** `Cache-Control` of responses with an entity tag: the client may store them but must revalidate. */
export const revalidated = "private, no-cache";

/**
 * Adds the headers that every response has: the request id, no storage by shared caches (a response depends on the key), and no
 * media type sniffing. A 403 `insufficient_scope` also has a challenge. Headers of the cache, of rate limits and of CORS are added in
 * `cache/`, `limits/` and `http/cors.ts`. The response to a HEAD request has no body.
 *
 * @param caching `Cache-Control` of a response that does not depend on the key
 */
export function finishResponse(
  response: PlainResponse,
  requestId: string,
  method: string,
  caching?: string,
): PlainResponse {
  const stream = isStreamed(response) ? response.stream : null;
  // Nobody reads the stream of a HEAD, so its source must end.
  if (method === "HEAD") void stream?.cancel().catch(() => undefined);
  return {
    ...(stream !== null && method !== "HEAD" && { stream }),
    status: response.status,
    headers: {
      ...withChallenge(response),
      "cache-control": caching ?? cachingOf(response.headers, stream),
      "x-content-type-options": "nosniff",
      "x-request-id": requestId,
    },
    body: method === "HEAD" ? null : response.body,
  };
}

/** Adds a challenge to the header fields if the scopes of the key refused the request. Services that refuse requests know of no challenges. */
function withChallenge({ status, headers, body }: PlainResponse): PlainHeaders {
  return status === 403 && errorCodeOf({ status, body }) === "insufficient_scope"
    ? { ...insufficientScopeChallenge, ...headers }
    : headers;
}

/**
 * A proxy that compresses a response makes its strong tag weak, but a change needs a strong one (RFC 9110 section 13.1.1). A proxy that compresses
 * a stream holds events back until its buffer is full.
 */
function cachingOf({ etag, "cache-control": caching }: PlainHeaders, stream: object | null): string {
  if (caching === revalidated) return revalidated;
  return stream || etag?.startsWith('"') ? "private, no-store, no-transform" : "private, no-store";
}

/**
 * Reports a failure and returns the response for the caller, which has no details of it. A key that could not be looked up is
 * 503: a 401 would make a device give up.
 */
export function failureResponse(requestId: string, cause: unknown, telemetry: Telemetry): PlainResponse {
  if (cause instanceof KeyStoreUnavailableError) {
    // Without the stack: callers with wrong keys must not fill the log during an outage.
    telemetry({ type: "key_store_failed", requestId, reason: rootCauseMessage(cause) });
    return keyStoreUnavailable;
  }
  telemetry({ type: "internal_error", requestId, cause });
  return problemResponse("internal_error");
}
