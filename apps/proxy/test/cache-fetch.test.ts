/** The cache for callers that send entity tags with `fetch`, which adds `Cache-Control` and `Pragma` of its own to such requests. */
import { createMemoryCacheStore } from "@letta-environments/http-cache";
import { createClient } from "@letta-environments/client";
import { sha256Hex } from "@letta-environments/platform/node";
import { jsonResponse } from "@letta-environments/schema";
import { expect, onTestFinished, test, vi } from "vitest";
import { createEnvironmentCache } from "../src/cache/environment-cache.ts";
import { environmentRow } from "./support/environment-row.ts";
import { startNodeServer } from "./support/node-server.ts";

async function startCached() {
  const clock = { now: () => server.clock.now() };
  const environmentCache = createEnvironmentCache({
    store: createMemoryCacheStore({ clock }),
    clock,
    sha256: sha256Hex,
    onError: () => undefined,
  })({ upstream: "https://upstream.example", showsStatus: () => true });
  const list = jsonResponse(200, { connections: [environmentRow("1")], hasNextPage: false });
  const server = await startNodeServer(() => Promise.resolve(list), { ports: { environmentCache } });
  onTestFinished(() => server.connections.close());
  return { ...server, ...(await server.issueKey()) };
}

test("many clients that poll with entity tags cause one upstream request per freshness lifetime", async () => {
  const { url, key, clock, upstreamRequests } = await startCached();
  const statuses: number[] = [];
  const countingFetch: typeof fetch = async (...request) => {
    const response = await fetch(...request);
    if (response.url.includes("/v1/environments?")) statuses.push(response.status);
    return response;
  };
  const { environments } = createClient({ baseUrl: url, apiKey: key, fetch: countingFetch });
  for (const lifetime of [1, 2]) {
    const ended = new AbortController();
    statuses.length = 0;
    const watchers = Array.from({ length: 20 }, async () => {
      const watched = environments.watch(null, { intervalMs: 1, signal: ended.signal });
      for await (const { type } of watched) expect(type).toBe("appeared");
    });
    await vi.waitFor(() => expect(statuses.filter((status) => status === 304).length).toBeGreaterThan(40), 10_000);
    ended.abort();
    await Promise.all(watchers);
    expect(upstreamRequests).toHaveLength(lifetime);
    // Longer than a response is used while the upstream works.
    await clock.advance(5_001);
  }
});

test("a fetch call with an entity tag forces an upstream request only with max-age=0 or no-store", async () => {
  const { url, key, upstreamRequests } = await startCached();
  const ask = async (headers: Readonly<Record<string, string>>): Promise<string | null> => {
    const response = await fetch(`${url}/v1/environments`, { headers: { authorization: `Bearer ${key}`, ...headers } });
    return response.headers.get("cache-status");
  };
  await ask({});
  const tag = { "if-none-match": 'W/"other"' };
  for (const sent of [tag, { ...tag, "cache-control": "max-age=5" }]) expect(await ask(sent)).toContain("; hit");
  expect(upstreamRequests).toHaveLength(1);
  expect(await ask({ ...tag, "cache-control": "max-age=0" })).toContain("fwd=request");
  expect(await ask({ ...tag, "cache-control": "no-store" })).toContain("fwd=bypass");
  expect(await ask({ "cache-control": "no-cache" })).toContain("fwd=request");
});
