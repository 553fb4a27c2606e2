/** The cache while an upstream request is in flight, changes or fails. */
import { createMemoryCacheStore } from "@letta-environments/http-cache";
import { sha256Hex } from "@letta-environments/platform/node";
import { jsonResponse, type PlainResponse } from "@letta-environments/schema";
import { expect, test, vi } from "vitest";
import { createEnvironmentCache, type EnvironmentCache } from "../src/cache/environment-cache.ts";
import type { UpstreamFetch } from "../src/ports.ts";
import type { GatewayConfig } from "../src/services.ts";
import { environmentRow } from "./support/environment-row.ts";
import { type FakeRequest, fakeRequest } from "./support/fake-request.ts";
import { createTestProxy, problemOf, type TestProxy } from "./support/test-proxy.ts";

const rows = jsonResponse(200, { connections: [environmentRow("1")], hasNextPage: false });

interface Cached extends TestProxy {
  readonly cache: EnvironmentCache;
  /** The response of the upstream from now on. */
  answer: () => ReturnType<UpstreamFetch>;
  asked: number;
  ask(key: string, request?: FakeRequest): Promise<PlainResponse>;
}

function setUp(
  config: Partial<GatewayConfig> = {},
  showsStatus = true,
  credentialOf: () => string = () => "sk-upstream",
): Cached {
  const clock = { now: () => testProxy.clock.now() };
  const cache = createEnvironmentCache({
    store: createMemoryCacheStore({ clock }),
    clock,
    sha256: sha256Hex,
    onError: () => undefined,
  })({ upstream: "https://upstream.example", showsStatus: () => showsStatus });
  const upstream: UpstreamFetch = () => {
    cached.asked += 1;
    return cached.answer();
  };
  const testProxy = createTestProxy(upstream, {
    ports: { environmentCache: cache },
    config,
    remote: { credentialOf },
  });
  const cached: Cached = {
    ...testProxy,
    cache,
    answer: () => Promise.resolve(rows),
    asked: 0,
    ask: (key, request) => testProxy.proxy.handle(fakeRequest({ key, ...request })),
  };
  return cached;
}

test("conditional requests share one upstream request and get 304, even if nothing was cached", async () => {
  const cached = setUp();
  const { key } = await cached.issueKey();
  const etag = (await cached.ask(key)).headers["etag"] ?? "";
  await cached.cache.invalidate("default", { group: "everything" });
  const headers = { "if-none-match": `"other" , , ${etag}` };
  const answers = await Promise.all(Array.from({ length: 50 }, () => cached.ask(key, { headers })));
  expect(answers.every(({ status, body }) => status === 304 && body === null)).toBe(true);
  expect(cached.asked).toBe(2);
});

test("an invalidation during an upstream request does not make later callers fetch separately", async () => {
  const cached = setUp();
  const { key } = await cached.issueKey();
  let finish: (response: PlainResponse) => void = () => undefined;
  cached.answer = () => new Promise((resolve) => (finish = resolve));
  const first = cached.ask(key);
  await vi.waitFor(() => expect(cached.asked).toBe(1));
  await cached.cache.invalidate("default", { deviceId: "device-1" });
  finish(rows);
  expect((await first).status).toBe(200);
  cached.answer = () => Promise.resolve(rows);
  await Promise.all(Array.from({ length: 50 }, () => cached.ask(key)));
  expect(cached.asked).toBe(2);
});

test("when the upstream hangs, callers wait for at most one deadline and then get the stale response", async () => {
  const cached = setUp({ upstreamTimeoutMs: 1_000 });
  const { key } = await cached.issueKey();
  await cached.ask(key);
  await cached.clock.advance(6_000);
  cached.answer = () => new Promise(() => undefined);
  const answers = Promise.all(Array.from({ length: 20 }, () => cached.ask(key)));
  await vi.waitFor(() => expect(cached.asked).toBe(2));
  await cached.clock.advance(1_000);
  expect((await answers).map(({ status }) => status)).toEqual(Array.from({ length: 20 }, () => 200));
});

test("a request with no-cache does not join another caller's in-flight upstream request", async () => {
  const cached = setUp();
  const { key } = await cached.issueKey();
  cached.answer = () => (cached.asked === 1 ? new Promise(() => undefined) : Promise.resolve(rows));
  void cached.ask(key);
  await vi.waitFor(() => expect(cached.asked).toBe(1));
  expect((await cached.ask(key, { headers: { "cache-control": "no-cache" } })).status).toBe(200);
});

test("a caller that disconnects while it waits for another caller's request causes no internal error", async () => {
  const cached = setUp();
  const { key } = await cached.issueKey();
  cached.answer = () => new Promise(() => undefined);
  void cached.ask(key);
  await vi.waitFor(() => expect(cached.asked).toBe(1));
  const controller = new AbortController();
  const second = cached.ask(key, { signal: controller.signal });
  await new Promise((resolve) => setImmediate(resolve));
  controller.abort();
  expect((await second).status).toBe(499);
  expect(cached.events.filter(({ type }) => type === "internal_error")).toEqual([]);
});

test("without Cache-Status, neither Age nor only-if-cached reveals whether a response is cached", async () => {
  const cached = setUp({}, false);
  const { key } = await cached.issueKey();
  const onlyKept = { headers: { "cache-control": "only-if-cached, max-stale=60" } };
  const fresh = await cached.ask(key, onlyKept);
  const kept = await cached.ask(key, onlyKept);
  expect(kept.status).toBe(200);
  expect(Object.keys(kept.headers).toSorted()).toEqual(Object.keys(fresh.headers).toSorted());
});

const failing = (status: number) => () => Promise.resolve(jsonResponse(status, { message: "down" }));

test.each([
  ["the upstream's own error", failing(503), "; fwd-status=503"],
  ["no response", () => Promise.resolve({ reason: "unreachable", cause: null } as const), ""],
  ["a refused credential", failing(401), ""],
  ["a status that the gateway replaces with 502", failing(421), ""],
  ["a page instead of JSON", () => Promise.resolve({ status: 200, headers: {}, body: "<p>" }), ""],
])("after %s, Cache-Status contains only a status that the upstream has sent", async (_failure, answer, named) => {
  const cached = setUp();
  const { key } = await cached.issueKey();
  cached.answer = answer;
  const { status, headers } = await cached.ask(key);
  expect(status).toBe(named === "" ? 502 : 503);
  expect(headers["cache-status"]).toBe(`letta-gateway; fwd=uri-miss${named}; detail=no-store`);
});

test("a stale response while the upstream counts as down contains no upstream status, because the upstream was not called", async () => {
  const cached = setUp();
  const { key } = await cached.issueKey();
  await cached.ask(key);
  await cached.clock.advance(6_000);
  cached.answer = failing(503);
  const stale = async () => (await cached.ask(key)).headers["cache-status"];
  expect(await stale()).toBe("letta-gateway; fwd=stale; fwd-status=503; ttl=-4; detail=stale-if-error");
  await vi.waitFor(async () => {
    const before = cached.asked;
    await stale();
    expect(cached.asked).toBe(before);
  });
  expect(await stale()).toBe("letta-gateway; fwd=stale; ttl=-4; detail=stale-if-error");
});

test("If-Modified-Since never results in 304", async () => {
  const cached = setUp();
  const { key } = await cached.issueKey();
  await cached.ask(key);
  const headers = { "if-modified-since": "Fri, 31 Dec 2100 00:00:00 GMT" };
  expect((await cached.ask(key, { headers })).status).toBe(200);
});

test("responses of the old credential are not used after it changes, and a refusal of the new one is not hidden", async () => {
  let credential = "sk-first";
  const cached = setUp({}, true, () => credential);
  const { key } = await cached.issueKey();
  await cached.ask(key);
  credential = "sk-second";
  await cached.ask(key);
  expect(cached.asked).toBe(2);
  await cached.clock.advance(6_000);
  cached.answer = () => Promise.resolve(jsonResponse(401, {}));
  const refused = await cached.ask(key);
  expect([refused.status, problemOf(refused).errorCode]).toEqual([502, "upstream_credential_rejected"]);
});

test("a request with no-store gets the upstream's rate-limit headers and its refusal of the credential", async () => {
  const cached = setUp();
  const { key } = await cached.issueKey();
  const noStore = { headers: { "cache-control": "no-store" } };
  cached.answer = () => Promise.resolve({ ...rows, headers: { ...rows.headers, "x-ratelimit-remaining": "0" } });
  expect((await cached.ask(key, noStore)).headers).toMatchObject({
    "x-ratelimit-remaining": "0",
    "cache-status": "letta-gateway; fwd=bypass; fwd-status=200; detail=request-no-store",
  });
  cached.answer = () => Promise.resolve(jsonResponse(401, {}));
  const refused = await cached.ask(key, noStore);
  expect([refused.status, refused.headers["content-type"]]).toEqual([502, "application/problem+json"]);
  expect(problemOf(refused).errorCode).toBe("upstream_credential_rejected");
  await cached.ask(key);
  expect(cached.asked).toBe(3);
});

test("only the caller that caused the upstream request gets the upstream's rate-limit headers", async () => {
  const cached = setUp();
  const { key } = await cached.issueKey();
  cached.answer = () =>
    Promise.resolve({
      ...rows,
      headers: { ...rows.headers, ratelimit: '"theirs";r=0;t=9', "x-ratelimit-remaining": "0" },
    });
  const first = await cached.ask(key);
  expect(first.headers).toMatchObject({ ratelimit: '"theirs";r=0;t=9', "x-ratelimit-remaining": "0" });
  const second = await cached.ask(key);
  expect([second.headers["ratelimit"], second.headers["x-ratelimit-remaining"]]).toEqual([undefined, undefined]);
});
