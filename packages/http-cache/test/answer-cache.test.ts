import { expect, test, vi } from "vitest";
import { type AskedAnswer, type Coalescer, createMemoryCacheStore } from "../src/index.ts";
import { asked, createAnswerHarness, failure, textOf, type Value } from "./answer-harness.ts";

test("an answer is given as it is to whoever asked, and as it was kept to the others, with its date and age", async () => {
  const harness = createAnswerHarness();
  expect(await harness.read()).toEqual({
    kind: "asked",
    value: { status: 200, text: "one" },
    cacheStatus: "test; fwd=uri-miss; fwd-status=200; ttl=2; stored",
  });
  const date = new Date(harness.clock.now()).toUTCString();
  await harness.clock.advance(1_500);
  const given = await harness.read();
  expect(given).toMatchObject({ kind: "stored", ageMs: 1_500, cacheStatus: "test; hit; ttl=0" });
  expect(given).toMatchObject({ stored: { status: 200, headers: { "x-text": "one", date } } });
  expect([textOf(given), harness.askedCount]).toEqual(["one", 1]);
});

test("a hit in a synchronous store is there at once", async () => {
  const harness = createAnswerHarness();
  await harness.read();
  expect(harness.cache.read("key", () => Promise.reject(new Error("not asked")))).not.toBeInstanceOf(Promise);
});

test("a stale answer is given once more while a newer one is asked for, once, and then no longer", async () => {
  const harness = createAnswerHarness();
  await harness.read();
  await harness.clock.advance(2_500);
  harness.replies = [asked("two")];
  const given = await Promise.all([harness.read(), harness.read()]);
  expect(given.map(textOf)).toEqual(["one", "one"]);
  expect(given[0]?.cacheStatus).toBe("test; hit; ttl=-1; detail=stale-while-revalidate");
  await harness.clock.advance(0);
  expect([textOf(await harness.read()), harness.askedCount]).toEqual(["two", 2]);
  await harness.clock.advance(5_001);
  expect(await harness.status()).toBe("test; fwd=stale; fwd-status=200; ttl=2; stored");
});

test("a failure behind a stale answer changes nothing and is told", async () => {
  const background = vi.fn<(work: Promise<unknown>) => void>();
  const harness = createAnswerHarness({ background });
  harness.replies = [asked("one", { staleIfErrorMs: 0 }), new Error("reset")];
  await harness.read();
  await harness.clock.advance(2_500);
  expect(textOf(await harness.read())).toBe("one");
  await background.mock.calls[0]?.[0];
  expect([textOf(await harness.read()), harness.troubles]).toEqual(["one", ["background"]]);
});

test.each([["a failure", failure] as const, ["no answer", new Error("reset")] as const])(
  "the last answer stands in for %s while it may, and then no longer",
  async (_what, reply) => {
    const harness = createAnswerHarness();
    await harness.read();
    harness.replies = [reply];
    await harness.clock.advance(30_000);
    expect(await harness.read()).toMatchObject({
      kind: "stored",
      ageMs: 30_000,
      cacheStatus: "test; fwd=stale; ttl=-28; detail=stale-if-error",
    });
    await harness.clock.advance(32_000);
    const outcome = await harness.read().then(textOf, ({ message }: Error) => message);
    expect(outcome).toBe(reply instanceof Error ? "reset" : "down");
  },
);

test("an error that is no failure is told, and what was kept before stands in for later ones still", async () => {
  const harness = createAnswerHarness();
  await harness.read();
  await harness.clock.advance(6_000);
  harness.replies = [{ ...failure, isFailure: false }, failure];
  expect(await harness.status()).toBe("test; fwd=stale; fwd-status=502; detail=no-store");
  expect(textOf(await harness.read())).toBe("one");
});

test("a success that is not kept ends what was kept before", async () => {
  const harness = createAnswerHarness();
  await harness.read();
  await harness.clock.advance(6_000);
  harness.replies = [{ ...asked("gone", {}, 404), kept: null }, failure];
  expect(textOf(await harness.read())).toBe("gone");
  expect(textOf(await harness.read())).toBe("down");
});

test("who wants the origin's own word gets it or its failure, and what it says is kept for the others", async () => {
  const harness = createAnswerHarness();
  expect(await harness.status({ wish: "no-cache" })).toBe("test; fwd=uri-miss; fwd-status=200; ttl=2; stored");
  harness.replies = [asked("two"), failure];
  expect(await harness.status({ wish: "no-cache" })).toBe("test; fwd=request; fwd-status=200; ttl=2; stored");
  expect(textOf(await harness.read())).toBe("two");
  expect(textOf(await harness.read({ wish: "no-cache" }))).toBe("down");
});

test("who wants nothing kept leaves nothing behind, and takes nothing away", async () => {
  const harness = createAnswerHarness();
  const kept = "test; fwd=bypass; fwd-status=200; detail=request-no-store";
  expect(await harness.status({ wish: "no-store" })).toBe(kept);
  expect(await harness.status()).toContain("uri-miss");
  harness.replies = [asked("two")];
  expect(await harness.status({ wish: "no-store" })).toBe(kept);
  expect(textOf(await harness.read())).toBe("one");
});

test("50 reads at once ask once", async () => {
  const harness = createAnswerHarness();
  const given = await Promise.all(Array.from({ length: 50 }, () => harness.read()));
  expect([new Set(given.map(textOf)), harness.askedCount]).toEqual([new Set(["one"]), 1]);
  expect(given[1]?.cacheStatus).toBe("test; fwd=uri-miss; ttl=2; collapsed");
});

test("a reader that goes away hands over, and rejects with its reason", async () => {
  const harness = createAnswerHarness();
  const controller = new AbortController();
  harness.replies = [new Promise(() => undefined), asked("two")];
  void harness.read({ signal: controller.signal });
  const second = harness.read({ signal: new AbortController().signal });
  const leaving = new AbortController();
  const third = harness.read({ signal: leaving.signal });
  await vi.waitFor(() => expect(harness.askedCount).toBe(1));
  leaving.abort(new Error("gone"));
  await expect(third).rejects.toThrow("gone");
  controller.abort();
  expect(textOf(await second)).toBe("two");
});

test("an answer from before a change is not kept after it", async () => {
  const harness = createAnswerHarness();
  let finish: (reply: AskedAnswer<Value>) => void = () => undefined;
  harness.replies = [new Promise((resolve) => (finish = resolve)), asked("after")];
  const before = harness.read();
  await vi.waitFor(() => expect(harness.askedCount).toBe(1));
  await harness.cache.invalidateGroup("g");
  finish(asked("before"));
  expect((await before).cacheStatus).toBe("test; fwd=uri-miss; fwd-status=200; detail=outdated");
  expect(textOf(await harness.read())).toBe("after");
});

test("a group ends its answers and no others", async () => {
  const harness = createAnswerHarness();
  harness.replies = [asked("one", { groups: ["g", "h"] }), asked("two", { groups: ["h"] }), asked("three")];
  await harness.read({}, "a");
  await harness.read({}, "b");
  await harness.cache.invalidateGroup("g");
  expect([textOf(await harness.read({}, "a")), textOf(await harness.read({}, "b"))]).toEqual(["three", "two"]);
});

test("a body that is too large is given and not kept, and nobody waits for the next one", async () => {
  const harness = createAnswerHarness({ maxBodyBytes: 3 });
  harness.replies = [asked("large")];
  expect(await harness.status()).toBe("test; fwd=uri-miss; fwd-status=200; detail=too-large");
  const given = await Promise.all([harness.read(), harness.read()]);
  expect([given.map(textOf), harness.askedCount]).toEqual([["large", "large"], 3]);
});

test("a clock that was set back trusts nothing that came later", async () => {
  const harness = createAnswerHarness();
  let offsetMs = 0;
  const clock = { now: () => harness.clock.now() + offsetMs };
  const { read, replies } = createAnswerHarness({ clock });
  await read();
  offsetMs = -60_000;
  replies[0] = asked("two");
  expect(textOf(await read())).toBe("two");
});

test("a store that fails fails no read", async () => {
  const fail = (): never => {
    throw new Error("away");
  };
  const harness = createAnswerHarness({ store: { get: fail, put: fail, delete: fail, deleteGroup: fail } });
  expect(await harness.status()).toBe("test; fwd=uri-miss; fwd-status=200; detail=store-failed");
  await harness.cache.invalidateGroup("g");
  expect(harness.troubles).toEqual(["store-get", "store-put", "store-delete"]);
});

test("a name that is no token is refused, as it would break the fields that it stands in", () => {
  expect(() => createAnswerHarness({ name: "two words" })).toThrow(new TypeError("No token: two words"));
});

test("who is given the lead from elsewhere looks once more before it asks", async () => {
  const harness = createAnswerHarness();
  const coalescer: Coalescer = {
    enter: async () => {
      await shared.read();
      return { role: "leader", settle: () => undefined };
    },
  };
  const clock = harness.clock;
  const store = createMemoryCacheStore({ clock });
  const shared = createAnswerHarness({ clock, store });
  const second = createAnswerHarness({ clock, store, coalescer });
  expect(await second.status()).toBe("test; fwd=uri-miss; ttl=2; collapsed");
  expect([shared.askedCount, second.askedCount]).toEqual([1, 0]);
});
