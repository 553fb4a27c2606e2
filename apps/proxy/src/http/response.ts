import { type PlainResponse, problemResponse } from "@letta-environments/schema";
import { keyStoreUnavailable } from "../auth/authentication.ts";
import { innermostReason } from "../keys/innermost-reason.ts";
import { KeyStoreUnavailableError } from "../keys/key-store-unavailable-error.ts";
import type { Telemetry } from "../telemetry.ts";

/** For answers with an entity tag: the caller's own cache may keep them, if it asks each time. */
export const revalidated = "private, no-cache";

/**
 * Adds what every answer carries: its request id, no storing by caches in front (an answer depends on the key), and no
 * guessing of the media type. A HEAD gets no body.
 */
export function finishResponse(response: PlainResponse, requestId: string, method: string): PlainResponse {
  return {
    status: response.status,
    headers: {
      ...response.headers,
      "cache-control": response.headers["cache-control"] === revalidated ? revalidated : "private, no-store",
      "x-content-type-options": "nosniff",
      "x-request-id": requestId,
    },
    body: method === "HEAD" ? null : response.body,
  };
}

/**
 * What a caller is told of a failure, which telemetry is told in full. Of a key that could not be looked up nothing is known: 401 would
 * tell a device to give up.
 */
export function failureResponse(requestId: string, cause: unknown, telemetry: Telemetry): PlainResponse {
  if (cause instanceof KeyStoreUnavailableError) {
    // In short: whoever guesses keys during an outage must not fill the log with stacks.
    telemetry({ type: "key_store_failed", requestId, reason: innermostReason(cause) });
    return keyStoreUnavailable();
  }
  telemetry({ type: "internal_error", requestId, cause });
  return problemResponse("internal_error");
}
