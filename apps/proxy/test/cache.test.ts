/** Which responses the gateway caches, for which keys, and what invalidates them. */
import { type CacheStore, createMemoryCacheStore } from "@letta-environments/http-cache";
import { sha256Hex } from "@letta-environments/platform/node";
import { type Environment, jsonResponse, type PlainResponse } from "@letta-environments/schema";
import fc from "fast-check";
import { describe, expect, test, vi } from "vitest";
import { createEnvironmentCache, type EnvironmentCache } from "../src/cache/environment-cache.ts";
import type { UpstreamFetch, UpstreamRequest } from "../src/ports.ts";
import type { GatewayConfig } from "../src/services.ts";
import { environmentRow } from "./support/environment-row.ts";
import { type FakeRequest, fakeRequest } from "./support/fake-request.ts";
import { bodyOf, createTestProxy, problemOf, type TestProxy } from "./support/test-proxy.ts";
import { cloudflareStatuses } from "./support/cloudflare-statuses.ts";

/** A remote server with the environments of each tenant. */
function rowsOf(rows: (tenant: string) => readonly Environment[]): UpstreamFetch {
  return ({ method, path, principal }) => {
    const own = rows(principal.tenant);
    if (method === "POST") return Promise.resolve(jsonResponse(200, { success: true, message: "ok" }));
    if (path === "/v1/environments")
      return Promise.resolve(jsonResponse(200, { connections: own, hasNextPage: false }));
    const row = own.find(({ deviceId }) => path.endsWith(`/${deviceId}`));
    return Promise.resolve(row === undefined ? jsonResponse(404, { message: "none" }) : jsonResponse(200, row));
  };
}

interface Cached extends TestProxy {
  readonly cache: EnvironmentCache;
  ask(key: string, request?: FakeRequest): Promise<PlainResponse>;
  reads(): UpstreamRequest[];
}

function setUp(
  upstream: UpstreamFetch = rowsOf((tenant) => [environmentRow(tenant)]),
  config: Partial<GatewayConfig> = {},
  showsStatus: () => boolean = () => true,
  storeParts: Partial<CacheStore> = {},
): Cached {
  const clock = { now: () => testProxy.clock.now() };
  const cache = createEnvironmentCache({
    store: Object.assign(createMemoryCacheStore({ clock }), storeParts),
    clock,
    sha256: sha256Hex,
    onError: (operation, cause) => void testProxy.events.push({ type: "cache_failed", operation, cause }),
  })({ upstream: "https://upstream.example", showsStatus });
  const testProxy = createTestProxy(upstream, { ports: { environmentCache: cache }, config });
  return {
    ...testProxy,
    cache,
    ask: (key, request) => testProxy.proxy.handle(fakeRequest({ key, ...request })),
    reads: () => testProxy.upstreamRequests.filter(({ method }) => method === "GET"),
  };
}

const device = (id: string): FakeRequest => ({ path: `/v1/environments/${id}` });

describe("cached lists", () => {
  test("a response that is not valid JSON is not cached, not even for a key that sees it unchanged", async () => {
    let body = '{"connections":[}';
    const { ask, issueKey } = setUp(async () => ({
      ...jsonResponse(200, {}),
      body,
    }));
    const { key } = await issueKey({ scopes: ["list", "details"] });
    expect((await ask(key)).status).toBe(502);
    body = '{"connections":[],"hasNextPage":false}';
    expect((await ask(key)).status).toBe(200);
  });

  test("a list is fetched once in two seconds for all keys with the same restrictions, and Cache-Status says so", async () => {
    const { ask, reads, issueKey, clock } = setUp();
    const [first, second] = [await issueKey(), await issueKey()];
    const fresh = await ask(first.key);
    expect(fresh.headers["cache-status"]).toBe("letta-gateway; fwd=uri-miss; fwd-status=200; ttl=2; stored");
    const again = await ask(second.key);
    expect(again.headers["cache-status"]).toBe("letta-gateway; hit; ttl=2");
    expect([bodyOf(again), reads().length]).toEqual([bodyOf(fresh), 1]);
    await clock.advance(2_001);
    const stale = await ask(first.key);
    expect(stale.headers["cache-status"]).toContain("hit; ttl=-1");
    await clock.advance(0);
    expect(reads()).toHaveLength(2);
    await clock.advance(10_000);
    await ask(first.key);
    expect(reads()).toHaveLength(3);
  });

  test("a list of a user's devices that the upstream is not asked for is not stored, and has no Cache-Status", async () => {
    const { ask, reads, issueKey } = setUp();
    const query = "userId=somebody";
    const { key } = await issueKey();
    for (const _call of [1, 2]) {
      const { status, headers } = await ask(key, { query });
      expect([status, headers["cache-status"]]).toEqual([200, undefined]);
    }
    const { key: withDetails } = await issueKey({ scopes: ["list", "details"] });
    expect((await ask(withDetails, { query })).headers["cache-status"]).toContain("fwd-status=200");
    expect(reads()).toHaveLength(1);
  });

  test("the order of query parameters does not matter to the cache, their values do", async () => {
    const { ask, reads, issueKey } = setUp();
    const { key } = await issueKey({ scopes: ["list", "details"] });
    for (const query of ["limit=5&onlineOnly=true", "onlineOnly=true&limit=5"]) await ask(key, { query });
    expect(reads()).toHaveLength(1);
    for (const query of ["limit=6&onlineOnly=true", "limit=5", "", "extra=1"]) await ask(key, { query });
    expect(reads()).toHaveLength(5);
  });

  test("a cached list is not shared between tenants, or between keys with different devices or details", async () => {
    const { ask, reads, issueKey } = setUp();
    const keys = [
      await issueKey(),
      await issueKey({ tenant: "other" }),
      await issueKey({ deviceIds: ["device-default"] }),
      await issueKey({ connectionNames: ["b*"] }),
      await issueKey({ scopes: ["list", "details"] }),
    ];
    for (const { key } of keys) expect((await ask(key)).headers["cache-status"]).toContain("uri-miss");
    expect(reads()).toHaveLength(5);
  });
});

test("a revoked key gets no cached response, because authentication precedes the cache", async () => {
  const { ask, issueKey, keyStore } = setUp();
  const { key, record } = await issueKey();
  await ask(key);
  await keyStore.update(record.id, (current) => ({ ...current, revokedAt: 1 }));
  expect((await ask(key)).status).toBe(401);
});

test("50 concurrent requests cause one upstream request", async () => {
  const { ask, reads, issueKey } = setUp();
  const { key } = await issueKey();
  const answers = await Promise.all(Array.from({ length: 50 }, () => ask(key)));
  expect([new Set(answers.map(({ status }) => status)), reads().length]).toEqual([new Set([200]), 1]);
});

test("a 404 for a device is cached for a second, and invalidated when the device appears", async () => {
  let rows: Environment[] = [];
  const { ask, reads, issueKey, cache } = setUp(rowsOf(() => rows));
  const { key } = await issueKey();
  for (let count = 0; count < 3; count++) {
    expect((await ask(key, device("device-1"))).status).toBe(404);
  }
  expect(reads()).toHaveLength(1);
  rows = [environmentRow("1")];
  await cache.invalidate("default", { deviceId: "device-1" });
  expect((await ask(key, device("device-1"))).status).toBe(200);
});

test("a send invalidates the responses of its device and the lists, and of no other device", async () => {
  const { ask, reads, issueKey } = setUp(rowsOf(() => [environmentRow("1"), environmentRow("2")]));
  const { key } = await issueKey();
  const readAll = async (): Promise<void> => {
    for (const request of [{}, device("device-1"), device("device-2")]) await ask(key, request);
  };
  await readAll();
  const body = JSON.stringify({ messages: [{ role: "user", content: "x", client_message_id: "m" }] });
  const headers = { "content-type": "application/json" };
  await ask(key, { method: "POST", path: "/v1/environments/conn-1/messages", body, headers });
  const before = reads().length;
  await readAll();
  expect(
    reads()
      .slice(before)
      .map(({ path }) => path),
  ).toEqual(["/v1/environments", "/v1/environments/device-1"]);
});

test.each(["unreachable", 500, 502, 503, 504, ...cloudflareStatuses] as const)(
  "the last response is served stale for a minute while the upstream fails: %s",
  async (failure) => {
    const failed =
      typeof failure === "number"
        ? jsonResponse(failure, {}, { "retry-after": "60" })
        : { reason: failure, cause: new Error("down") };
    let isUp = true;
    const rows = rowsOf(() => [environmentRow("1")]);
    const { ask, issueKey, clock } = setUp((...call) => (isUp ? rows(...call) : Promise.resolve(failed)));
    const { key } = await issueKey();
    await ask(key);
    isUp = false;
    await clock.advance(30_000);
    const stale = await ask(key);
    expect([stale.status, stale.headers["age"]]).toEqual([200, "30"]);
    await clock.advance(60_000);
    expect((await ask(key)).status).toBe(typeof failure === "number" ? failure : 502);
  },
);

test("a caller that disconnects does not cancel the response of callers that wait for the same request", async () => {
  let asked = 0;
  const controller = new AbortController();
  const rows = rowsOf(() => [environmentRow("1")]);
  const { ask, issueKey } = setUp((request, signal) => {
    asked += 1;
    return asked === 1 ? new Promise(() => undefined) : rows(request, signal);
  });
  const { key } = await issueKey();
  const first = ask(key, { signal: controller.signal });
  const second = ask(key);
  await vi.waitFor(() => expect(asked).toBe(1));
  controller.abort();
  expect((await second).status).toBe(200);
  expect((await first).status).toBe(499);
});

describe("entity tags", () => {
  test("a list has a weak entity tag, and a request with that tag gets 304", async () => {
    const { ask, issueKey } = setUp();
    const { key } = await issueKey();
    const first = await ask(key);
    const tag = first.headers["etag"] ?? "";
    expect(tag).toMatch(/^W\/"[0-9a-f]{32}"$/);
    expect(first.headers["cache-control"]).toBe("private, no-cache");
    const repeat = await ask(key, { headers: { "if-none-match": tag } });
    expect([repeat.status, repeat.body, repeat.headers["etag"]]).toEqual([304, null, tag]);
  });

  test("no-cache forces an upstream request with a tag too, unless fetch may have added it, together with Pragma", async () => {
    const { ask, reads, issueKey } = setUp();
    const { key } = await issueKey();
    const [tag, noCache] = [{ "if-none-match": '"other"' }, { "cache-control": "no-cache" }];
    await ask(key);
    await ask(key, { headers: { ...tag, ...noCache, pragma: "no-cache" } });
    expect(reads()).toHaveLength(1);
    await ask(key, { headers: { ...tag, ...noCache } });
    await ask(key, { headers: { ...noCache, pragma: "no-cache" } });
    await ask(key, { headers: { ...tag, "cache-control": "max-age=0", pragma: "no-cache" } });
    expect(reads()).toHaveLength(4);
  });

  test("the entity tag stays the same after a heartbeat and changes with the environment", async () => {
    let row = environmentRow("1", { lastHeartbeat: 1_800_000_000_000, lastSeenAt: 1_800_000_000_000 });
    const { ask, issueKey, clock } = setUp(rowsOf(() => [row]));
    const { key } = await issueKey();
    const tagOf = async (): Promise<string | undefined> => {
      await clock.advance(10_000);
      return (await ask(key)).headers["etag"];
    };
    const first = await tagOf();
    row = { ...row, lastHeartbeat: 1_800_000_029_999, lastSeenAt: 1_800_000_029_999 };
    expect(await tagOf()).toBe(first);
    row = { ...row, connectionName: "renamed" };
    expect(await tagOf()).not.toBe(first);
  });
});

test("Cache-Status is absent if the settings hide it", async () => {
  const { ask, issueKey } = setUp(undefined, {}, () => false);
  const { key } = await issueKey();
  await ask(key);
  expect((await ask(key)).headers["cache-status"]).toBeUndefined();
});

test("cached responses of a caller's own upstream key are invalidated when the upstream refuses the key", async () => {
  let isGood = true;
  const rows = rowsOf(() => [environmentRow("1")]);
  const upstream: UpstreamFetch = (request, signal) =>
    isGood ? rows(request, signal) : Promise.resolve(jsonResponse(401, {}));
  const { ask } = setUp(upstream, { passThrough: true });
  await ask("sk-own");
  isGood = false;
  expect((await ask("sk-own", device("device-1"))).status).toBe(401);
  expect((await ask("sk-own")).status).toBe(401);
});

describe("purges of the cache", () => {
  test("an administering key can purge a device, the lists or all responses of its own tenant", async () => {
    const { ask, reads, issueKey } = setUp(rowsOf(() => [environmentRow("1"), environmentRow("2")]));
    const { key } = await issueKey();
    const { key: admin } = await issueKey({ scopes: ["admin"] });
    const purge = (body?: unknown): Promise<PlainResponse> =>
      ask(admin, {
        method: "POST",
        path: "/admin/v1/cache/purge",
        ...(body !== undefined && { body: JSON.stringify(body), headers: { "content-type": "application/json" } }),
      });
    const readAgain = async (): Promise<string[]> => {
      const before = reads().length;
      for (const request of [{}, device("device-1"), device("device-2")]) await ask(key, request);
      return reads()
        .slice(before)
        .map(({ path }) => path.slice("/v1/environments".length));
    };
    await readAgain();
    expect((await purge({ deviceId: "device-1" })).status).toBe(204);
    expect(await readAgain()).toEqual(["", "/device-1"]);
    await purge({ group: "lists" });
    expect(await readAgain()).toEqual([""]);
    await purge();
    expect(await readAgain()).toEqual(["", "/device-1", "/device-2"]);
    const other = await purge({ tenant: "other" });
    expect([other.status, problemOf(other).errors?.[0]?.member]).toEqual([403, "tenant"]);
    expect((await purge({ deviceId: "device-1", group: "lists" })).status).toBe(400);
    expect((await ask(key, { method: "POST", path: "/admin/v1/cache/purge" })).status).toBe(403);
  });
});

test("a store that cannot delete fails neither a send nor a purge, and both are logged", async () => {
  const deleteGroup = (): Promise<never> => Promise.reject(new Error("away"));
  const { ask, issueKey, events } = setUp(
    rowsOf(() => [environmentRow("1")]),
    {},
    undefined,
    { deleteGroup },
  );
  const { key } = await issueKey({ scopes: ["list", "read", "send", "admin"] });
  const post = async (path: string, body: unknown): Promise<number> => {
    const headers = { "content-type": "application/json" };
    return (await ask(key, { method: "POST", path, body: JSON.stringify(body), headers })).status;
  };
  const failures = () => events.filter(({ type }) => type === "cache_failed").length;
  const messages = [{ role: "user", content: "x", client_message_id: "m" }];
  expect([await post("/v1/environments/conn-1/messages", { messages }), failures()]).toEqual([200, 2]);
  expect([await post("/admin/v1/cache/purge", { group: "lists" }), failures()]).toEqual([204, 3]);
});

test("a path that resembles a cached path never gets its cached response", async () => {
  const { ask, reads, issueKey } = setUp(rowsOf(() => [environmentRow("1")]));
  const { key } = await issueKey();
  await ask(key, device("device-1"));
  const before = reads().length;
  for (const path of [
    "/v1/environments/device-1;a.css",
    "/v1/environments/device-1/",
    "/v1/environments/Device-1",
    "/v1/environments/device-1%2f",
    "/v1/environments/device-1%00",
    "/v1/environments//device-1",
    "/v1/environments/x/../device-1",
    "/V1/environments/device-1",
  ]) {
    expect([path, (await ask(key, { path })).status === 200]).toEqual([path, false]);
  }
  expect(
    reads()
      .slice(before)
      .every(({ path }) => path.endsWith("/Device-1")),
  ).toBe(true);
});

test("no request header changes the cached response of another caller", async () => {
  const headers = fc.dictionary(
    fc.constantFrom(
      ...[
        "accept",
        "accept-language",
        "origin",
        "host",
        "x-forwarded-host",
        "x-forwarded-for",
        "x-original-url",
        "range",
      ],
      ...[
        "idempotency-key",
        "traceparent",
        "tracestate",
        "cache-control",
        "if-none-match",
        "vary",
        "cookie",
        "user-agent",
      ],
    ),
    fc.string({ unit: fc.constantFrom("a", ",", ";", "=", '"', "*", " ", "/", "0") }),
  );
  await fc.assert(
    fc.asyncProperty(headers, fc.array(headers, { maxLength: 3 }), async (own, others) => {
      // An upstream that returns everything it was sent, as a careless one may.
      const echo: UpstreamFetch = (request) => {
        const { "x-request-id": _id, ...sent } = request.headers;
        return Promise.resolve(
          jsonResponse(200, {
            connections: [environmentRow("1", { connectionName: JSON.stringify(sent) })],
            hasNextPage: false,
          }),
        );
      };
      const { ask, issueKey } = setUp(echo);
      const { key } = await issueKey();
      const { key: another } = await issueKey();
      for (const other of others) await ask(another, { headers: other });
      const answer = await ask(key, { headers: own });
      if (answer.status !== 200) return;
      const [echoed] = (bodyOf(answer) as { readonly connections: readonly Environment[] }).connections;
      const told = Object.values<string>(JSON.parse(echoed?.connectionName ?? ""));
      for (const other of others) {
        for (const name of ["idempotency-key", "cookie", "x-forwarded-host"]) {
          const value = other[name];
          if (value !== undefined && value.length > 3) expect(told.filter((text) => text.includes(value))).toEqual([]);
        }
      }
    }),
    { numRuns: 100 },
  );
});
