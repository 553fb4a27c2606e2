import { createCacheMiddleware, createOriginFetch } from "../../src/rfc9111.ts";

/** The cache with its default options in front of an origin. If the origin does not respond, the client gets 502. */
export function createReverseProxy(
  origin: string,
  fetch: typeof globalThis.fetch,
): (request: Request) => Promise<Response> {
  const cached = createCacheMiddleware({ name: "http-cache" });
  const next = createOriginFetch({ origin, fetch });
  return async (request) => {
    try {
      return await cached(request, next);
    } catch {
      return new Response(null, { status: 502 });
    }
  };
}
