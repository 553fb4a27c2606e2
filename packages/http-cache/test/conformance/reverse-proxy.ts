import { createCacheMiddleware, createOriginFetch } from "../../src/rfc9111/index.ts";

/** The cache alone in front of an origin, with nothing but defaults. An origin that does not answer is 502, as in any gateway. */
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
