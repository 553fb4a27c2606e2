import { createCacheMiddleware } from "@letta-environments/http-cache/rfc9111";

const cached = createCacheMiddleware({ name: "my-client", policy: { mode: "private" }, followsRedirects: true });

/** `fetch` with a private HTTP cache in memory. */
export function cachedFetch(input: string | URL | Request, init?: RequestInit): Promise<Response> {
  return cached(new Request(input, init), (request) => fetch(request));
}
