import type { PlainResponse } from "@letta-environments/schema";

/**
 * Adds what every answer carries: its request id, no storing by caches in front (an answer depends on the key), and no
 * guessing of the media type. A HEAD gets no body.
 */
export function finishResponse(response: PlainResponse, requestId: string, method: string): PlainResponse {
  return {
    status: response.status,
    headers: {
      ...response.headers,
      "cache-control": "private, no-store",
      "x-content-type-options": "nosniff",
      "x-request-id": requestId,
    },
    body: method === "HEAD" ? null : response.body,
  };
}
