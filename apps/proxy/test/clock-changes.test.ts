/**
 * Changes of the wall clock while the gateway runs. Each guarantee is tested by comparison: the same requests run on a steady wall
 * clock, and on wall clocks that move by a day between any two steps. Everything that callers and devices see must be equal.
 */
import { createEnvironmentServer } from "@letta-environments/environment-server";
import { createSqliteEnvironmentStore } from "@letta-environments/environment-server/sqlite";
import { createMemoryCacheStore } from "@letta-environments/http-cache";
import { createAnchoredClock } from "@letta-environments/platform";
import { openSqlite, randomId, sha256Hex } from "@letta-environments/platform/node";
import { jsonResponse, type PlainResponse, type PlainSocketListener } from "@letta-environments/schema";
import { createVirtualClock, type VirtualClock } from "@letta-environments/testkit";
import { expect, test, vi } from "vitest";
import { createMemoryRateLimitStore } from "../src/adapters/memory/rate-limit-store.ts";
import { createSqliteKeyStore } from "../src/adapters/sqlite/key-store.ts";
import { createSqliteRateLimitStore } from "../src/adapters/sqlite/rate-limit-store.ts";
import { createEnvironmentCache } from "../src/cache/environment-cache.ts";
import type { RateLimitsFile } from "../src/config/file.ts";
import { resolveRateLimits } from "../src/config/resolve-rate-limits.ts";
import { createExpiryCheck } from "../src/keys/credential-expiry.ts";
import type { KeyRequest } from "../src/keys/key-lifecycle.ts";
import { watchSocketKeys } from "../src/keys/socket-key-watch.ts";
import type { UpstreamFetch } from "../src/ports.ts";
import { createRateLimiter } from "../src/rate-limit/limiter.ts";
import { openEnvironmentCache } from "../src/runtimes/node/shared-stores.ts";
import { type FakeRequest, fakeRequest } from "./support/fake-request.ts";
import { createTestIssuer, testJwtSettings } from "./support/test-issuer.ts";
import { createTestProxy, issueTestKey, problemOf, type TestProxy } from "./support/test-proxy.ts";
import { embedServer } from "../src/upstream/embedded.ts";

const dayMs = 86_400_000;

/** Moves the wall clock, or not. A scenario calls it between its steps. */
type MoveWallClock = () => void;

/** The behaviour of the wall clock: steady, a jump in the middle, or a jump at every step. */
const courses: readonly (readonly number[])[] = [
  [dayMs],
  [-dayMs],
  [0, 0, dayMs],
  [0, 0, -dayMs],
  [dayMs, -dayMs, -dayMs, dayMs, -3_600_000, 60_000],
];

/** Expects that a scenario observes the same, whatever the wall clock does. Returns what it observes. */
async function expectSameObservations<Seen>(
  scenario: (clock: VirtualClock, move: MoveWallClock) => Promise<readonly Seen[]>,
): Promise<readonly Seen[]> {
  const steady = await scenario(createVirtualClock(), () => undefined);
  for (const course of courses) {
    const clock = createVirtualClock();
    const moves = [...course];
    const seen = await scenario(clock, () => clock.shiftWallTime(moves.shift() ?? 0));
    expect(seen, `wall clock moved by ${course.join(", ")} ms`).toEqual(steady);
  }
  return steady;
}

/** The parts of a response that contain no time of day. */
function seen({ status, headers, body }: PlainResponse): unknown {
  const shown = ["retry-after", "ratelimit", "age", "cache-status", "idempotency-replayed", "x-should-retry"];
  const problem = status >= 400 && body !== null ? problemOf({ status, headers, body }).errorCode : null;
  return [status, problem, ...shown.flatMap((name) => headers[name] ?? [])];
}

/** A gateway with an embedded server on a clock, and a device whose acknowledgements the test sends. */
async function openEmbedded(clock: VirtualClock) {
  const keyStore = createSqliteKeyStore(openSqlite(":memory:"), clock);
  const hasExpired = createExpiryCheck(clock);
  const server = createEnvironmentServer({
    store: createSqliteEnvironmentStore(openSqlite(":memory:")),
    clock,
    sha256: sha256Hex,
    randomId,
    podId: "pod-1",
    publicUrl: null,
    settleMs: 0,
  });
  const onFailure = (cause: unknown): void => expect.unreachable(String(cause));
  const proxy = createTestProxy(undefined, {
    ports: {
      clock,
      keyStore,
      hasExpired,
      upstream: embedServer(server),
      deviceSockets: watchSocketKeys(server, {
        clock,
        hasExpired,
        keyStore,
        tenants: () => new Map(),
        tokenSettings: () => null,
        onFailure,
      }),
    },
  });
  return {
    ...proxy,
    clock,
    keyStore,
    server,
    issueKey: (request: Partial<KeyRequest> = {}) => issueTestKey(keyStore, clock, request),
  };
}

/** Registers a device and opens its socket. */
async function connectDevice({ proxy }: Pick<TestProxy, "proxy">, key: string) {
  const inputs: string[] = [];
  const closed: (number | string)[] = [];
  let listener: PlainSocketListener | null = null;
  const body = JSON.stringify({ deviceId: "device-1", connectionName: "laptop" });
  const headers = { "content-type": "application/json" };
  const registered = await proxy.handle(
    fakeRequest({ method: "POST", path: "/v1/environments/register", key, headers, body }),
  );
  if (registered.status !== 200) throw new Error(problemOf(registered).errorCode);
  const { connectionId } = JSON.parse(String(registered.body)) as { readonly connectionId: string };
  const path = `/v1/environments/${connectionId}/socket`;
  const upgrade = await proxy.upgrade(fakeRequest({ path, key, headers: { upgrade: "websocket" } }));
  if (upgrade.kind === "refused") throw new Error(problemOf(upgrade.response).errorCode);
  listener = upgrade.attach({
    send(text) {
      const frame = JSON.parse(text) as { readonly type: string; readonly request_id: string };
      if (frame.type === "input") inputs.push(frame.request_id);
    },
    close: (code) => void closed.push(code),
    terminate: () => void closed.push("terminated"),
  });
  const say = (frame: object): void => listener.onMessage(JSON.stringify(frame));
  const acknowledge = (id: string | undefined): void =>
    say({ type: "input_accepted", request_id: id, accepted: true, disposition: "started" });
  return { connectionId, inputs, closed, say, acknowledge };
}

function sendRequest(connectionId: string, key: string, messageId: string): FakeRequest {
  return {
    method: "POST",
    path: `/v1/environments/${connectionId}/messages`,
    key,
    headers: { "content-type": "application/json" },
    body: JSON.stringify({
      agentId: "agent-1",
      messages: [{ role: "user", content: "hello", client_message_id: messageId }],
    }),
  };
}

test("changing the wall clock affects no in-flight send, and neither repeats nor forgets a message", async () => {
  const observed = await expectSameObservations(async (clock, move) => {
    const gateway = await openEmbedded(clock);
    const { key } = await gateway.issueKey({ scopes: ["connect", "list", "read", "send"] });
    const device = await connectDevice(gateway, key);
    const send = (id: string) => gateway.proxy.handle(fakeRequest(sendRequest(device.connectionId, key, id)));
    const found: unknown[] = [];
    move();
    const acknowledged = send("m-1");
    await clock.advance(5_000);
    move();
    await clock.advance(4_999);
    device.acknowledge(device.inputs[0]);
    found.push(seen(await acknowledged));
    move();
    found.push(seen(await send("m-1")));
    const unanswered = send("m-2");
    await clock.advance(9_999);
    move();
    let isSettled = false;
    void unanswered.then(() => (isSettled = true));
    await clock.advance(0);
    found.push(isSettled);
    await clock.advance(1);
    found.push(seen(await unanswered));
    move();
    found.push(seen(await send("m-2")), device.inputs.length);
    return found;
  });
  expect(observed).toEqual([
    [200, null],
    [200, null, "true"],
    false,
    [504, "delivery_unknown", "false"],
    [504, "delivery_unknown", "true", "false"],
    2,
  ]);
});

test("changing the wall clock neither takes a device offline nor keeps a silent one online", async () => {
  const observed = await expectSameObservations(async (clock, move) => {
    const gateway = await openEmbedded(clock);
    const { key } = await gateway.issueKey({ scopes: ["connect", "list", "read"] });
    const device = await connectDevice(gateway, key);
    const listOnline = async (): Promise<unknown[]> => {
      const request = fakeRequest({ key, query: "onlineOnly=true" });
      const { connections } = JSON.parse(String((await gateway.proxy.handle(request)).body)) as {
        readonly connections: readonly { readonly lastHeartbeat: number | null }[];
      };
      return connections.map(({ lastHeartbeat }) => clock.now() - Number(lastHeartbeat));
    };
    const found: unknown[] = [];
    for (const waitMs of [0, 30_000, 0, 119_999, 1]) {
      move();
      await clock.advance(waitMs);
      if (waitMs === 30_000) device.say({ type: "ping" });
      found.push(await listOnline());
    }
    return [...found, device.closed];
  });
  expect(observed).toEqual([[0], [0], [0], [119_999], [], ["terminated"]]);
});

/** Two rate limits: one of requests, and one of requests that run at the same time. */
const limits: RateLimitsFile = {
  policies: {
    requests: { per: ["key"], limit: 6, windowMs: 60_000, burst: 3 },
    running: { per: ["key"], unit: "concurrent-requests", limit: 1, windowMs: 20_000 },
  },
};

test.each([
  ["memory", createMemoryRateLimitStore],
  ["SQLite", (clock: VirtualClock) => createSqliteRateLimitStore(openSqlite(":memory:"), clock)],
])("changing the wall clock affects no rate limit and no lease that is counted in %s", async (_name, openStore) => {
  const observed = await expectSameObservations(async (clock, move) => {
    const store = openStore(clock);
    const localStore = createMemoryRateLimitStore(clock);
    const rateLimiter = createRateLimiter({ store, localStore, clock, onDegraded: () => undefined });
    const hanging: UpstreamFetch = (_request, signal) =>
      new Promise((_resolve, reject) => signal.addEventListener("abort", () => reject(new Error("aborted"))));
    const { settings } = resolveRateLimits(limits, false);
    const { proxy, issueKey } = createTestProxy(hanging, {
      ports: { clock, rateLimiter },
      config: { rateLimits: settings, upstreamTimeoutMs: 30_000 },
    });
    const { key } = await issueKey();
    const found: unknown[] = [];
    const begin = (): void => void proxy.handle(fakeRequest({ key })).then((response) => found.push(seen(response)));
    for (const waitMs of [0, 1, 9_999, 10_000, 9_999, 1, 30_000, 60_000]) {
      move();
      await clock.advance(waitMs);
      begin();
      await clock.advance(0);
    }
    await clock.advance(30_000);
    return found;
  });
  expect(observed.map((response) => (response as unknown[])[0])).toContain(429);
  expect(observed.map((response) => (response as unknown[])[0])).toContain(504);
});

test("changing the wall clock affects neither how long a response is fresh or stale, nor which requests are coalesced", async () => {
  const observed = await expectSameObservations(async (clock, move) => {
    const anchored = createAnchoredClock(clock);
    let calls = 0;
    const environmentCache = createEnvironmentCache({
      store: createMemoryCacheStore({ clock: anchored }),
      clock: anchored,
      sha256: sha256Hex,
      onError: (_operation, cause) => expect.unreachable(String(cause)),
    })({ upstream: "upstream", showsStatus: () => true });
    const upstream: UpstreamFetch = () => {
      calls += 1;
      const isDown = calls === 4;
      return Promise.resolve(
        isDown
          ? jsonResponse(503, {}, { "x-should-retry": "false" })
          : jsonResponse(200, { connections: [], hasNextPage: false }),
      );
    };
    const { proxy, issueKey } = createTestProxy(upstream, { ports: { clock, environmentCache } });
    const { key } = await issueKey();
    const found: unknown[] = [];
    for (const waitMs of [0, 1_999, 1, 1_000, 5_001, 2_000, 60_000]) {
      move();
      await clock.advance(waitMs);
      found.push([seen(await proxy.handle(fakeRequest({ key }))), calls]);
      await clock.advance(0);
    }
    return found;
  });
  // The fourth call fails with a status that is not repeated, and the response of the third is used.
  expect(observed.map((entry) => (entry as readonly unknown[])[1])).toEqual([1, 1, 2, 2, 3, 4, 5]);
});

test("the memory cache of a gateway process keeps a response although the wall clock jumps by a day", async () => {
  vi.useFakeTimers({ toFake: ["Date"] });
  try {
    const cache = { store: "memory", maxBytes: 1_048_576, maxEntries: 100, statusFor: "nobody" } as const;
    const opened = await openEnvironmentCache({ cache, valkeyUrl: null }, () => undefined);
    const environmentCache = opened.cacheFor({ cache, upstream: { kind: "embedded" } });
    let calls = 0;
    const upstream: UpstreamFetch = () => {
      calls += 1;
      return Promise.resolve(jsonResponse(200, { connections: [], hasNextPage: false }));
    };
    const { proxy, issueKey } = createTestProxy(upstream, { ports: { environmentCache } });
    const { key } = await issueKey();
    for (const byMs of [0, dayMs, -dayMs, -dayMs]) {
      vi.setSystemTime(Date.now() + byMs);
      await proxy.handle(fakeRequest({ key }));
    }
    expect(calls).toBe(1);
    opened.close();
  } finally {
    vi.useRealTimers();
  }
});

test("changing the wall clock affects neither how long a refused key is remembered nor the age of an issuer's key set", async () => {
  const observed = await expectSameObservations(async (clock, move) => {
    const issuer = await createTestIssuer();
    const keyStore = createSqliteKeyStore(openSqlite(":memory:"), clock);
    let reads = 0;
    const counted = {
      ...keyStore,
      find(id: string) {
        reads += 1;
        return keyStore.find(id);
      },
    };
    const unknown = await createTestProxy().issueKey();
    const { proxy } = createTestProxy(undefined, {
      ports: { clock, keyStore: counted, fetchJwks: issuer.fetchJwks },
      config: { jwt: testJwtSettings },
    });
    const found: unknown[] = [];
    for (const waitMs of [0, 4_999, 1, 594_999, 2, 30_000]) {
      move();
      await clock.advance(waitMs);
      const refused = await proxy.handle(fakeRequest({ key: unknown.key }));
      const admitted = await proxy.handle(fakeRequest({ key: await issuer.sign(clock.now()) }));
      await clock.advance(0);
      found.push([refused.status, reads, admitted.status, issuer.fetchCount]);
    }
    return found;
  });
  expect(observed).toEqual([
    [401, 1, 200, 1],
    [401, 1, 200, 1],
    [401, 2, 200, 1],
    [401, 3, 200, 1],
    [401, 3, 200, 2],
    [401, 4, 200, 2],
  ]);
});

test("a key that was seen expired stays expired after the wall clock is set back, and its socket does not come back", async () => {
  const clock = createVirtualClock();
  const gateway = await openEmbedded(clock);
  const expiresAt = clock.now() + 3_600_000;
  const scopes = ["connect", "list"] as const;
  const { key, record } = await gateway.issueKey({ scopes, expiresAt });
  const unseen = await gateway.issueKey({ scopes, expiresAt });
  const device = await connectDevice(gateway, key);
  const statusOf = async (presented: string) => (await gateway.proxy.handle(fakeRequest({ key: presented }))).status;
  expect(await statusOf(key)).toBe(200);
  clock.shiftWallTime(dayMs);
  await clock.advance(1_000);
  expect([device.closed, await statusOf(key)]).toEqual([[1008], 401]);
  clock.shiftWallTime(-dayMs);
  // Another change of a key empties the cache of verified keys.
  await gateway.issueKey();
  await clock.advance(1_000);
  expect([await statusOf(key), await statusOf(unseen.key)]).toEqual([401, 200]);
  await expect(connectDevice(gateway, key)).rejects.toThrow("invalid_key");
  await gateway.keyStore.update(record.id, (present) => ({ ...present, expiresAt: clock.now() + 2 * dayMs }));
  await clock.advance(1_000);
  expect(await statusOf(key)).toBe(200);
});

test("a token that was seen expired stays expired after the wall clock is set back, verified before or not", async () => {
  const clock = createVirtualClock();
  const issuer = await createTestIssuer();
  const { proxy } = createTestProxy(undefined, {
    ports: { clock, hasExpired: createExpiryCheck(clock), fetchJwks: issuer.fetchJwks },
    config: { jwt: testJwtSettings },
  });
  const tokens = await Promise.all(["a", "b", "c"].map((jti) => issuer.sign(clock.now(), { claims: { jti } })));
  const statuses = (presented: readonly string[]) =>
    Promise.all(presented.map(async (key) => (await proxy.handle(fakeRequest({ key }))).status));
  expect(await statuses(tokens.slice(0, 1))).toEqual([200]);
  clock.shiftWallTime(dayMs);
  expect(await statuses(tokens.slice(0, 2))).toEqual([401, 401]);
  clock.shiftWallTime(-dayMs);
  expect(await statuses(tokens)).toEqual([401, 401, 200]);
});
