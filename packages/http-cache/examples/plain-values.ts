import { createMemoryCacheStore, webClock } from "@letta-environments/http-cache";
import { createHttpCache, type CacheResponse, type Forward } from "@letta-environments/http-cache/rfc9111";

const cache = createHttpCache({
  name: "edge-1",
  clock: webClock,
  store: createMemoryCacheStore({ clock: webClock }),
});

/** Returns a plain value for a hit in memory, and a promise otherwise. */
export function get(tenant: string, url: string, forward: Forward): CacheResponse | Promise<CacheResponse> {
  return cache.handle({ method: "GET", url, headers: {}, partition: [tenant] }, forward);
}
