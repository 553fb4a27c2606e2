import type { PlainResponse } from "@letta-environments/schema";

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
