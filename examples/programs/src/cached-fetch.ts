/**
 * `fetch` with a private HTTP cache in memory (RFC 9111). What the server marks as fresh is not requested again, and what is stale is
 * revalidated with its `ETag`.
 */
import { createCacheMiddleware } from "@letta-environments/http-cache/rfc9111";

/** Returns a `fetch` with its own cache. */
export function createCachedFetch(
  forward: (request: Request) => Promise<Response> = (request) => fetch(request),
): typeof fetch {
  const cached = createCacheMiddleware({ name: "my-client", policy: { mode: "private" } });
  return (input, init) => cached(new Request(input, init), forward);
}
