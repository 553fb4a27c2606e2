import { createCacheMiddleware, createOriginFetch } from "@letta-environments/http-cache/rfc9111";

export function createReverseProxy(origin: string): (request: Request) => Promise<Response> {
  const cached = createCacheMiddleware({ name: "edge-1" });
  const fetchOrigin = createOriginFetch({ origin, name: "edge-1" });
  return (request) => cached(request, fetchOrigin);
}
