import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test, vi } from "vitest";
import {
  type CacheStore,
  type Coalescer,
  createMemoryCacheStore,
  type FetchedResponse,
  type PutFetched,
} from "../src/index.ts";
import { deferred } from "./harness.ts";
import { createResponseHarness, failure, fetched, textOf, type Value } from "./response-harness.ts";

test("the caller that fetched gets the value unchanged; others get the stored response with its date and age", async () => {
  const harness = createResponseHarness();
  expect(await harness.read()).toEqual({
    kind: "fetched",
    value: { status: 200, text: "one" },
    cacheStatus: "test; fwd=uri-miss; fwd-status=200; ttl=2; stored",
  });
  const date = new Date(harness.clock.now()).toUTCString();
  await harness.clock.advance(1_500);
  const result = await harness.read();
  expect(result).toMatchObject({ kind: "stored", ageMs: 1_500, cacheStatus: "test; hit; ttl=0" });
  expect(result).toMatchObject({ entry: { status: 200, headers: { "x-text": "one", date } } });
  expect([textOf(result), harness.fetchCount]).toEqual(["one", 1]);
});

test("a hit in a synchronous store returns a plain value, not a promise", async () => {
  const harness = createResponseHarness();
  await harness.read();
  expect(harness.cache.read("key", () => Promise.reject(new Error("not fetched")))).not.toBeInstanceOf(Promise);
});

test("a stale response is used within staleWhileRevalidateMs while one background fetch replaces it", async () => {
  const harness = createResponseHarness();
  await harness.read();
  await harness.clock.advance(2_500);
  harness.replies = [fetched("two")];
  const result = await Promise.all([harness.read(), harness.read()]);
  expect(result.map(textOf)).toEqual(["one", "one"]);
  expect(result[0]?.cacheStatus).toBe("test; hit; ttl=-1; detail=stale-while-revalidate");
  await harness.clock.advance(0);
  expect([textOf(await harness.read()), harness.fetchCount]).toEqual(["two", 2]);
  await harness.clock.advance(5_001);
  expect(await harness.status()).toBe("test; fwd=stale; fwd-status=200; ttl=2; stored");
});

test("a background fetch has no signal, so it continues when the caller of the stale response disconnects", async () => {
  const { cache, read, clock } = createResponseHarness();
  await read();
  await clock.advance(2_500);
  const signals: (AbortSignal | undefined)[] = [];
  const fetchResponse = async (signal: AbortSignal | undefined): Promise<FetchedResponse<Value>> => {
    signals.push(signal);
    return fetched("two");
  };
  const result = await cache.read("key", fetchResponse, { signal: new AbortController().signal });
  await clock.advance(0);
  expect([textOf(result), signals]).toEqual(["one", [undefined]]);
});

test("a background fetch first registers its groups with a shared store, so that a purge by another process is not missed", async () => {
  const clock = createVirtualClock();
  const begun: (readonly string[])[] = [];
  const store: CacheStore = Object.assign(createMemoryCacheStore({ clock }), {
    begin(key: string, groups: readonly string[]): PutFetched {
      begun.push(groups);
      return async (entry) => {
        await store.put(key, entry);
        return true;
      };
    },
  });
  const { read } = createResponseHarness({ clock, store });
  await read({ groups: ["g"] });
  await clock.advance(2_500);
  expect(await read({ groups: ["g"] })).toMatchObject({
    cacheStatus: expect.stringContaining("stale-while-revalidate"),
  });
  expect(begun).toEqual([["g"], ["g"]]);
});

test.each([0, 60_000])(
  "a failed background fetch changes nothing and is reported (staleIfErrorMs %i)",
  async (staleIfErrorMs) => {
    const background = vi.fn<(work: Promise<unknown>) => void>();
    const harness = createResponseHarness({ background });
    harness.replies = [fetched("one", { staleIfErrorMs }), new Error("reset")];
    await harness.read();
    await harness.clock.advance(2_500);
    expect(textOf(await harness.read())).toBe("one");
    await background.mock.calls[0]?.[0];
    expect([textOf(await harness.read()), harness.failures]).toEqual(["one", ["background"]]);
  },
);

test("a lifetime counts from the request, not from the arrival of the response", async () => {
  const harness = createResponseHarness();
  const slow = deferred<FetchedResponse<Value>>();
  harness.replies = [slow.promise, fetched("two")];
  const first = harness.read();
  await harness.clock.advance(600);
  slow.resolve(fetched("one", { freshForMs: 1_000, staleWhileRevalidateMs: 0 }));
  await first;
  expect(await harness.read()).toMatchObject({ kind: "stored", ageMs: 600 });
  await harness.clock.advance(400);
  expect(textOf(await harness.read())).toBe("two");
});

test("a response without a lifetime is not a hit, not even in the millisecond of its arrival", async () => {
  const harness = createResponseHarness();
  harness.replies = [fetched("one", { freshForMs: 0, staleWhileRevalidateMs: 0 }), fetched("two")];
  await harness.read();
  expect(textOf(await harness.read())).toBe("two");
});

test.each([
  ["an error response", failure, "fwd=stale; fwd-status=502; ttl=-28"] as const,
  [
    "an error response that is not the origin's",
    { ...failure, value: { status: 0, text: "down" } },
    "fwd=stale; ttl=-28",
  ] as const,
  ["no response", new Error("reset"), "fwd=stale; ttl=-28"] as const,
])(
  "a stale response is served within staleIfErrorMs instead of %s, and Cache-Status contains the error's status",
  async (_what, reply, status) => {
    const harness = createResponseHarness();
    await harness.read();
    harness.replies = [reply];
    await harness.clock.advance(30_000);
    expect(await harness.read()).toMatchObject({
      kind: "stored",
      ageMs: 30_000,
      cacheStatus: `test; ${status}; detail=stale-if-error`,
    });
    await harness.clock.advance(32_000);
    const outcome = await harness.read().then(textOf, ({ message }: Error) => message);
    expect(outcome).toBe(reply instanceof Error ? "reset" : "down");
  },
);

test("a response with isError false is returned, and the stored response is still served for later errors", async () => {
  const harness = createResponseHarness();
  await harness.read();
  await harness.clock.advance(6_000);
  harness.replies = [{ ...failure, isError: false }, failure];
  expect(await harness.status()).toBe("test; fwd=stale; fwd-status=502; detail=no-store");
  expect(textOf(await harness.read())).toBe("one");
});

test("a successful response that is not stored invalidates the stored one", async () => {
  const harness = createResponseHarness();
  await harness.read();
  await harness.clock.advance(6_000);
  harness.replies = [{ ...fetched("gone", {}, 404), storable: null }, failure];
  expect(textOf(await harness.read())).toBe("gone");
  expect(textOf(await harness.read())).toBe("down");
});

test("no-cache always fetches, never serves stale, and stores the response for others", async () => {
  const harness = createResponseHarness();
  expect(await harness.status({ cacheMode: "no-cache" })).toBe("test; fwd=uri-miss; fwd-status=200; ttl=2; stored");
  harness.replies = [fetched("two"), failure];
  expect(await harness.status({ cacheMode: "no-cache" })).toBe("test; fwd=request; fwd-status=200; ttl=2; stored");
  expect(textOf(await harness.read())).toBe("two");
  expect(textOf(await harness.read({ cacheMode: "no-cache" }))).toBe("down");
});

test("no-store neither stores the response nor deletes the stored one", async () => {
  const harness = createResponseHarness();
  const noStore = "test; fwd=bypass; fwd-status=200; detail=request-no-store";
  expect(await harness.status({ cacheMode: "no-store" })).toBe(noStore);
  expect(await harness.status()).toContain("uri-miss");
  harness.replies = [fetched("two")];
  expect(await harness.status({ cacheMode: "no-store" })).toBe(noStore);
  expect(textOf(await harness.read())).toBe("one");
});

test("50 concurrent reads fetch once", async () => {
  const harness = createResponseHarness();
  const result = await Promise.all(Array.from({ length: 50 }, () => harness.read()));
  expect([new Set(result.map(textOf)), harness.fetchCount]).toEqual([new Set(["one"]), 1]);
  expect(result[1]?.cacheStatus).toBe("test; fwd=uri-miss; ttl=2; collapsed");
});

test("an aborted read hands over and rejects with the signal's reason", async () => {
  const harness = createResponseHarness();
  const controller = new AbortController();
  harness.replies = [new Promise(() => undefined), fetched("two")];
  void harness.read({ signal: controller.signal });
  const second = harness.read({ signal: new AbortController().signal });
  const leaving = new AbortController();
  const third = harness.read({ signal: leaving.signal });
  await vi.waitFor(() => expect(harness.fetchCount).toBe(1));
  leaving.abort(new Error("gone"));
  await expect(third).rejects.toThrow("gone");
  controller.abort();
  expect(textOf(await second)).toBe("two");
});

test("a read that is aborted during a fetch rejects with the signal's reason, although a stale response could be served", async () => {
  const harness = createResponseHarness();
  await harness.read();
  await harness.clock.advance(6_000);
  const reader = new AbortController();
  const { signal } = reader;
  harness.replies = [
    new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason as Error))),
  ];
  const read = harness.read({ signal });
  reader.abort(new Error("gone"));
  await expect(read).rejects.toThrow("gone");
});

test("a response requested before an invalidation is not stored after it", async () => {
  const harness = createResponseHarness();
  let finish: (reply: FetchedResponse<Value>) => void = () => undefined;
  harness.replies = [new Promise((resolve) => (finish = resolve)), fetched("after")];
  const before = harness.read();
  await vi.waitFor(() => expect(harness.fetchCount).toBe(1));
  await harness.cache.invalidateGroup("g");
  finish(fetched("before"));
  expect((await before).cacheStatus).toBe("test; fwd=uri-miss; fwd-status=200; detail=outdated");
  expect(textOf(await harness.read())).toBe("after");
});

test("invalidateGroup deletes the responses of the group and no others", async () => {
  const harness = createResponseHarness();
  harness.replies = [fetched("one", { groups: ["g", "h"] }), fetched("two", { groups: ["h"] }), fetched("three")];
  await harness.read({}, "a");
  await harness.read({}, "b");
  await harness.cache.invalidateGroup("g");
  expect([textOf(await harness.read({}, "a")), textOf(await harness.read({}, "b"))]).toEqual(["three", "two"]);
});

test("a body that is too large is returned but not stored, and later reads do not wait for each other", async () => {
  const harness = createResponseHarness({ maxBodyBytes: 3 });
  harness.replies = [fetched("large")];
  expect(await harness.status()).toBe("test; fwd=uri-miss; fwd-status=200; detail=too-large");
  const result = await Promise.all([harness.read(), harness.read()]);
  expect([result.map(textOf), harness.fetchCount]).toEqual([["large", "large"], 3]);
});

test("a response is not used if the clock was set back after it arrived", async () => {
  const harness = createResponseHarness();
  let offsetMs = 0;
  const clock = { now: () => harness.clock.now() + offsetMs };
  const { read, replies } = createResponseHarness({ clock });
  await read();
  offsetMs = -60_000;
  replies[0] = fetched("two");
  expect(textOf(await read())).toBe("two");
});

test("a failing store does not fail reads, but invalidations", async () => {
  const fail = (): never => {
    throw new Error("away");
  };
  const harness = createResponseHarness({ store: { get: fail, put: fail, delete: fail, deleteGroup: fail } });
  expect(await harness.status()).toBe("test; fwd=uri-miss; fwd-status=200; detail=store-failed");
  await expect(harness.cache.invalidateGroup("g")).rejects.toThrow("away");
  expect(harness.failures).toEqual(["store-get", "store-put", "store-delete"]);
});

test.each([
  ["no list", undefined],
  ["an entry whose body is no array of bytes", [{ status: 200, headers: {}, body: { 0: 1 }, freshForMs: 1 }]],
])("a store that returns %s counts as failed and as a miss", async (_, found) => {
  const store = createMemoryCacheStore({ clock: createVirtualClock() });
  const harness = createResponseHarness({ store: Object.assign(store, { get: () => found as never }) });
  expect(await harness.status()).toBe("test; fwd=uri-miss; fwd-status=200; ttl=2; stored");
  expect(harness.failures).toEqual(["store-get"]);
});

test("a cache name that is not a token throws, since it would break Cache-Status", () => {
  expect(() => createResponseHarness({ name: "two words" })).toThrow(new TypeError("name must be a token: two words"));
});

test("a read that becomes leader asynchronously looks in the store again before it fetches", async () => {
  const harness = createResponseHarness();
  const coalescer: Coalescer = {
    enter: async () => {
      await shared.read();
      return { role: "leader", settle: () => undefined };
    },
  };
  const clock = harness.clock;
  const store = createMemoryCacheStore({ clock });
  const shared = createResponseHarness({ clock, store });
  const second = createResponseHarness({ clock, store, coalescer });
  expect(await second.status()).toBe("test; fwd=uri-miss; ttl=2; collapsed");
  expect([shared.fetchCount, second.fetchCount]).toEqual([1, 0]);
});

test("a slow response does not overwrite one that was requested later, and waiting reads use the newer one", async () => {
  const harness = createResponseHarness();
  const slow = deferred<FetchedResponse<Value>>();
  harness.replies = [slow.promise, fetched("later")];
  const held = harness.read();
  const waiting = harness.read();
  await harness.clock.advance(100);
  expect(textOf(await harness.read({ cacheMode: "no-cache" }))).toBe("later");
  slow.resolve(fetched("slow"));
  expect(await held).toMatchObject({
    value: { text: "slow" },
    cacheStatus: "test; fwd=uri-miss; fwd-status=200; detail=superseded",
  });
  expect([textOf(await waiting), textOf(await harness.read()), harness.fetchCount]).toEqual(["later", "later", 2]);
});

test("a background refresh that started first does not replace the response of a later request", async () => {
  const work: Promise<unknown>[] = [];
  const harness = createResponseHarness({ background: (promise) => void work.push(promise) });
  await harness.read();
  await harness.clock.advance(2_500);
  const slow = deferred<FetchedResponse<Value>>();
  harness.replies = [slow.promise, fetched("later")];
  await harness.read();
  await harness.read({ cacheMode: "no-cache" });
  slow.resolve(fetched("slow"));
  await Promise.all(work);
  expect([textOf(await harness.read()), harness.fetchCount]).toEqual(["later", 3]);
});
