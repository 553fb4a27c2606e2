import { createMovableClock } from "../../../test/support/create-movable-clock.ts";
import { expect, test, vi } from "vitest";
import { createVirtualClock } from "@letta-environments/testkit";
import { createTestKeyRecord } from "../../../test/support/create-test-key-record.ts";
import type { KeyRecord } from "../../keys/key-record.ts";
import { useFlushMs } from "../../keys/key-uses.ts";
import type { KeyUse } from "../../ports.ts";
import type { KeyText } from "../key-search.ts";
import type { KeyObjectStub } from "./key-object.ts";
import {
  createDurableKeyGeneration,
  createDurableKeyStore,
  createDurableKeyUses,
  refreshAfterMs,
  trustMs,
} from "./key-store.ts";

function setUp() {
  const clock = createMovableClock();
  let looks = 0;
  const generation = createDurableKeyGeneration(clock, () => void (looks += 1));
  return { clock, generation, looks: () => looks };
}

test("the generation changes with every call until the first response, and stays the same after it", () => {
  const { clock, generation } = setUp();
  const before = generation.current();
  expect(generation.current()).not.toBe(before);
  const last = generation.current();
  generation.noteResponse(3, clock.monotonic());
  expect([generation.current(), generation.current()]).toEqual([last, last]);
});

test("a response with another number of changes is a new generation, and one with the same number is not", () => {
  const { clock, generation } = setUp();
  generation.noteResponse(3, clock.monotonic());
  const first = generation.current();
  generation.noteResponse(3, clock.monotonic());
  expect(generation.current()).toBe(first);
  generation.noteResponse(4, clock.monotonic());
  expect(generation.current()).not.toBe(first);
});

test("the store polls for changes once a second, and after four seconds without a response the generation changes with every call", () => {
  const { clock, generation, looks } = setUp();
  generation.noteResponse(3, clock.monotonic());
  const trusted = generation.current();
  expect(looks()).toBe(0);
  clock.move(refreshAfterMs);
  expect([generation.current(), generation.current(), looks()]).toEqual([trusted, trusted, 1]);
  clock.move(refreshAfterMs);
  expect([generation.current(), looks()]).toEqual([trusted, 2]);
  clock.move(trustMs - 2 * refreshAfterMs - 1);
  expect(generation.current()).toBe(trusted);
  clock.move(1);
  const late = generation.current();
  expect([late === trusted, generation.current() === late]).toEqual([false, false]);
});

test("setting the clock back does not extend the time limits", () => {
  const { clock, generation } = setUp();
  generation.noteResponse(3, clock.monotonic());
  const trusted = generation.current();
  clock.move(-86_400_000);
  expect(generation.current()).toBe(trusted);
  clock.move(trustMs);
  expect(generation.current()).not.toBe(trusted);
});

test("a change through this store starts a new generation immediately, and after a change with an unknown result every call does", () => {
  const { clock, generation } = setUp();
  generation.noteResponse(3, clock.monotonic());
  const first = generation.current();
  generation.noteChange(4, clock.monotonic());
  const second = generation.current();
  expect([second === first, generation.current() === second]).toEqual([false, true]);
  generation.noteChange(null, clock.monotonic());
  expect(generation.current()).not.toBe(generation.current());
});

test("the first use is written at once, later uses are batched every 30 s, and failed writes are included in the next one", async () => {
  const clock = createVirtualClock();
  const batches: (readonly KeyUse[])[] = [];
  const failures: unknown[] = [];
  const work: Promise<unknown>[] = [];
  let isDown = false;
  const note = createDurableKeyUses({
    clock,
    keyStore: {
      async recordUse(batch) {
        if (isDown) throw new Error("down");
        batches.push(batch);
      },
    },
    background: (promise) => void work.push(promise),
    onFailure: (cause) => void failures.push(cause),
  });
  const startedAt = clock.now();
  note("a");
  await Promise.all(work);
  expect(batches).toEqual([[{ id: "a", usedAt: startedAt }]]);

  await clock.advance(1_000);
  note("b");
  await clock.advance(useFlushMs - 1_001);
  note("b");
  expect(work).toHaveLength(1);
  isDown = true;
  await clock.advance(1);
  note("c");
  await Promise.all(work);
  expect([batches.length, failures.length]).toEqual([1, 1]);

  isDown = false;
  await clock.advance(useFlushMs);
  note("d");
  await Promise.all(work);
  expect(batches[1]?.map(({ id }) => id).toSorted()).toEqual(["b", "c", "d"]);
});

test("while the object does not respond, a key is unknown after two seconds, and every other call fails after five", async () => {
  const clock = createVirtualClock();
  const never = () => new Promise<never>(() => undefined);
  const stub = {
    ...{
      find: never,
      list: never,
      summarize: never,
      insert: never,
      replace: never,
      recordUse: never,
      lastUses: never,
      changes: never,
    },
  };
  const work: Promise<unknown>[] = [];
  const store = createDurableKeyStore({ keys: () => stub, clock, background: (promise) => void work.push(promise) });
  const calls: readonly (readonly [timeoutMs: number, call: () => Promise<unknown>])[] = [
    [2_000, () => store.find("a")],
    [2_000, () => store.update("a", (record) => record)],
    [5_000, () => store.list()],
    [5_000, () => store.summarize(0)],
    [5_000, () => store.create(createTestKeyRecord())],
    [5_000, () => store.recordUse([])],
    [5_000, () => store.lastUses()],
  ];
  for (const [timeoutMs, call] of calls) {
    let failure: unknown = null;
    void call().catch((cause: unknown) => (failure = cause));
    await clock.advance(timeoutMs - 1);
    expect(failure).toBeNull();
    await clock.advance(1);
    expect(failure).toMatchObject({ name: "KeyStoreUnavailableError", cause: { message: /in time/ } });
  }
  expect(clock.timerCount).toBe(0);
});

/** A stub of an object with some records, whose `list` may be of an earlier version. */
function objectWith(records: readonly KeyRecord[], changes: Partial<KeyObjectStub> = {}): KeyObjectStub {
  const texts = records.map((record): KeyText => [record.id, JSON.stringify(record)]);
  const unused = () => Promise.reject(new Error("not called"));
  return {
    ...{ find: unused, insert: unused, replace: unused, recordUse: unused, lastUses: unused, changes: unused },
    // So workerd reports a method that the object does not have.
    summarize: () => Promise.reject(new TypeError('The RPC receiver does not implement the method "summarize".')),
    list: () => Promise.resolve({ value: texts, changes: 1 }),
    ...changes,
  };
}

test("while a deployment has not reached the object, which returns every key, lists and summaries are complete", async () => {
  const records = [1, 2, 3].map((createdAt) => createTestKeyRecord({ tenant: `t${createdAt}` }, createdAt));
  const stub = objectWith(records);
  const store = createDurableKeyStore({
    keys: () => stub,
    clock: createVirtualClock(),
    background: () => undefined,
  });
  const matches = ({ tenant }: KeyRecord): boolean => tenant !== "t2";
  for (const limit of [1, 2, 3]) {
    expect(await store.list({ after: undefined, limit, matches })).toEqual([records[0], records[2]].slice(0, limit));
    expect(await store.list({ after: records[0]?.id, limit, matches })).toEqual([records[2]]);
    expect(await store.list({ after: records[2]?.id, limit, matches })).toEqual([]);
  }
  expect(await store.list()).toEqual(records);
  expect([...(await store.summarize(5)).live.keys()]).toEqual(["t1", "t2", "t3"]);
});

test("a summary that fails is not computed from the list of keys", async () => {
  const list = vi.fn<KeyObjectStub["list"]>();
  const stub = objectWith([], { list, summarize: () => Promise.reject(new Error("overloaded")) });
  const store = createDurableKeyStore({
    keys: () => stub,
    clock: createVirtualClock(),
    background: () => undefined,
  });
  await expect(store.summarize(5)).rejects.toMatchObject({ name: "KeyStoreUnavailableError" });
  expect(list).not.toHaveBeenCalled();
});

test("a read is repeated once when the object was restarted during it, and a change is not", async () => {
  const clock = createVirtualClock();
  const calls: string[] = [];
  const restart = (name: string) => () => {
    calls.push(name);
    return Promise.reject(new Error("reset"));
  };
  const stub = {
    ...{
      list: restart("list"),
      summarize: restart("summarize"),
      insert: restart("insert"),
      replace: restart("replace"),
      changes: restart("changes"),
    },
    ...{ recordUse: restart("recordUse"), lastUses: restart("lastUses") },
    async find(id: string) {
      calls.push(`find ${id}`);
      if (calls.length === 1) throw new Error("reset");
      return { value: null, changes: 1 };
    },
  };
  const store = createDurableKeyStore({ keys: () => stub, clock, background: () => undefined });
  expect(await store.find("a")).toBeNull();
  await expect(store.create(createTestKeyRecord())).rejects.toMatchObject({ name: "KeyStoreUnavailableError" });
  expect(calls).toEqual(["find a", "find a", "insert"]);
});
