import { deepStrictEqual } from "node:assert";
import type { CacheEntry, CacheStore } from "@letta-environments/http-cache";
import { createHttpCache } from "@letta-environments/http-cache/rfc9111";
import { storeContract } from "@letta-environments/http-cache/testing";
import { sha256Hex, systemClock } from "@letta-environments/platform/node";
import type { ValkeyConnection } from "@letta-environments/platform";
import { connectValkey } from "@letta-environments/platform/valkey";
import { endpoints, jsonResponse, type PlainResponse } from "@letta-environments/schema";
import { canLaunchValkey, createVirtualClock, type LaunchedValkey, launchValkey } from "@letta-environments/testkit";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { createTestPrincipal } from "../../../test/support/create-test-principal.ts";
import { fakeRequest } from "../../../test/support/fake-request.ts";
import { createEnvironmentCache } from "../../cache/environment-cache.ts";
import { createValkeyCacheStore, KnownOutageError } from "./cache-store.ts";

const options = { maxBytes: 67_108_864, maxEntries: 100_000, onRecovered: () => undefined };

/** An entry of a variant, which is kept for a minute. */
function entry(text: string, language: string): CacheEntry {
  const nowMs = Date.now();
  return {
    status: 200,
    headers: {},
    body: new TextEncoder().encode(text),
    vary: ["accept-language"],
    variant: [`=${language}`],
    receivedAtMs: nowMs,
    initialAgeMs: 0,
    freshForMs: 60_000,
    staleWhileRevalidateMs: 0,
    staleIfErrorMs: 0,
    validatesAlways: false,
    isNeverStale: false,
    isImmutable: false,
    keepUntilMs: nowMs + 60_000,
    groups: ["g"],
  };
}

test("the first failed call of an outage is reported with its cause, later attempts are not, and the recovery is reported with the duration", async () => {
  const clock = createVirtualClock();
  const cause = new Error("it hangs");
  let call = (): Promise<unknown> => Promise.reject(cause);
  const connection = { command: () => call(), evaluate: () => call() } as unknown as ValkeyConnection;
  const lasted: number[] = [];
  const store = createValkeyCacheStore(connection, clock, sha256Hex, {
    ...options,
    onRecovered: (durationMs) => void lasted.push(durationMs),
  });
  const [first, second] = await Promise.allSettled([store.get("a"), store.delete("a")]);
  expect([first, second]).toMatchObject([{ reason: cause }, { reason: expect.any(KnownOutageError) }]);
  for (const _trial of [1, 2]) {
    await clock.advance(1_000);
    await expect(store.get("a")).rejects.toThrow(KnownOutageError);
  }
  call = () => Promise.resolve([]);
  await clock.advance(1_000);
  for (const _call of [1, 2]) expect(await store.get("a")).toEqual([]);
  expect(lasted).toEqual([3_000]);
});

test("a process stores a limited number of bytes and of responses, and the last quarter belongs to tenants with little", async () => {
  const clock = createVirtualClock(Date.now());
  let puts = 0;
  const evaluate = async (): Promise<unknown> => {
    puts += 1;
    return 1;
  };
  const connection = { evaluate } as unknown as ValkeyConnection;
  const store = createValkeyCacheStore(connection, clock, sha256Hex, { ...options, maxBytes: 80_000, maxEntries: 16 });
  const countPuts = async (group: string, length: number, names: readonly string[]): Promise<number> => {
    puts = 0;
    const keepUntilMs = clock.now() + 60_000;
    const stored = { ...entry("x".repeat(length), "en"), keepUntilMs, groups: [group] };
    for (const name of names) await store.put(`${group} ${name}`, stored);
    return puts;
  };
  const names = Array.from({ length: 20 }, (_, index) => `${index}`);
  expect(await countPuts("a", 10_000, names.slice(0, 6))).toBe(4);
  // A stored response can be replaced, and another tenant has room.
  expect(await countPuts("a", 10_000, names.slice(0, 4))).toBe(4);
  expect(await countPuts("b", 100, names)).toBe(8);
  await store.deleteGroup("a");
  expect(await countPuts("b", 100, names)).toBe(12);
  await clock.advance(61_000);
  expect(await countPuts("a", 10_000, names)).toBe(4);
});

describe.runIf(canLaunchValkey())("the cache store in Valkey", () => {
  let server: LaunchedValkey;
  const closes: (() => Promise<void>)[] = [];

  beforeAll(async () => {
    server = await launchValkey();
  });

  afterAll(async () => {
    for (const close of closes.splice(0)) await close();
    await server.stop();
  });

  async function open(timeoutMs = 5_000): Promise<CacheStore> {
    const connection = connectValkey(server.url, { timeoutMs, onFailure: () => undefined });
    closes.push(() => connection.close());
    await connection.command(["FLUSHALL"]);
    return createValkeyCacheStore(connection, systemClock, sha256Hex, options);
  }

  storeContract({ test, equal: deepStrictEqual }, open);

  test("an entry stored by one process is found by another, and invalidated for both", async () => {
    const first = createHttpCache({ store: await open(), clock: systemClock });
    const connection = connectValkey(server.url, { timeoutMs: 5_000, onFailure: () => undefined });
    closes.push(() => connection.close());
    const store = createValkeyCacheStore(connection, systemClock, sha256Hex, options);
    const second = createHttpCache({ store, clock: systemClock });
    const request = { method: "GET", url: "https://cache.invalid/a", headers: {}, partition: ["t"] };
    const headers = { "cache-control": "max-age=60", "cache-groups": '"g"' };
    const response = { status: 200, headers, body: new TextEncoder().encode("hello") };
    let forwarded = 0;
    const forward = (): Promise<typeof response> => {
      forwarded += 1;
      return Promise.resolve(response);
    };
    await first.handle(request, forward);
    expect((await second.handle(request, forward)).report.outcome).toBe("hit");
    await second.invalidateGroup(request, "g");
    expect((await first.handle(request, forward)).report.outcome).toBe("fetched");
    expect(forwarded).toBe(2);
  });

  test("a list that was requested before another gateway invalidated it is fetched again", async () => {
    const ports = { store: await open(), clock: systemClock, sha256: sha256Hex, onError: () => undefined };
    const [first, second] = [1, 2].map(() =>
      createEnvironmentCache(ports)({ upstream: "embedded", showsStatus: () => true }),
    );
    const principal = createTestPrincipal();
    let response = Promise.resolve(jsonResponse(200, { connections: [], hasNextPage: false }));
    let fetches = 0;
    const read = () =>
      second?.read({
        ...{ request: fakeRequest({ path: "/v1/environments" }), endpoint: endpoints.listEnvironments },
        ...{ params: {}, query: "", principal, credential: null },
        fetch() {
          fetches += 1;
          return response;
        },
      });
    const old = Promise.withResolvers<PlainResponse>();
    const current = response;
    response = old.promise;
    const held = read();
    await expect.poll(() => fetches).toBe(1);
    await first?.invalidate(principal.tenant, { group: "lists" });
    response = current;
    old.resolve(await current);
    await held;
    await read();
    await read();
    expect(fetches).toBe(2);
  });

  test("a response does not overwrite the same variant that another gateway requested later", async () => {
    const store = await open();
    const [first, second] = [await store.begin?.("key", []), await store.begin?.("key", [])];
    const [old, current, other] = [entry("old", "en"), entry("new", "en"), entry("other", "de")];
    expect([await second?.(current), await first?.(old), await first?.(other)]).toEqual([true, false, true]);
    const texts = async (): Promise<string[]> =>
      (await store.get("key")).map(({ body }) => new TextDecoder().decode(body)).toSorted();
    expect(await texts()).toEqual(["new", "other"]);
    expect(await (await store.begin?.("key", []))?.(old)).toBe(true);
    expect(await texts()).toEqual(["old", "other"]);
  });

  test("every key of the cache in Valkey expires", async () => {
    const store = await open();
    const connection = connectValkey(server.url, { timeoutMs: 5_000, onFailure: () => undefined });
    closes.push(() => connection.close());
    const cache = createHttpCache({ store, clock: systemClock, policy: { keepStaleMs: 0, staleIfUnreachableMs: 0 } });
    const headers = { "cache-control": "max-age=2", "cache-groups": '"g", "h"' };
    await cache.handle({ method: "GET", url: "https://cache.invalid/a", headers: {} }, () =>
      Promise.resolve({ status: 200, headers, body: new Uint8Array(3) }),
    );
    const keys = (await connection.command(["KEYS", "*"])) as string[];
    expect(keys).toHaveLength(3);
    for (const key of keys) {
      const left = Number(await connection.command(["PTTL", key]));
      expect([key, left > 0 && left <= 2_000]).toEqual([key, true]);
    }
  });

  test("a hanging server counts as a miss: the first lookup times out, later ones fail immediately", async () => {
    const store = await open(50);
    const failures: string[] = [];
    const cache = createHttpCache({ store, clock: systemClock, onError: (failure) => void failures.push(failure) });
    const forward = () => Promise.resolve({ status: 200, headers: {}, body: new Uint8Array() });
    server.pause();
    try {
      const request = { method: "GET", url: "https://cache.invalid/b", headers: {} };
      for (let count = 0; count < 3; count++) expect((await cache.handle(request, forward)).status).toBe(200);
    } finally {
      server.resume();
    }
    expect(failures).toContain("store-get");
  });
});
