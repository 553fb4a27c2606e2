import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import type { KeyUse } from "../ports.ts";
import { createKeyUses, useFlushMs } from "./key-uses.ts";

function setUp() {
  const clock = createVirtualClock();
  const batches: (readonly KeyUse[])[] = [];
  const failures: unknown[] = [];
  const store = { isDown: false };
  const uses = createKeyUses({
    clock,
    keyStore: {
      async recordUse(batch) {
        if (store.isDown) throw new Error("down");
        batches.push(batch);
      },
    },
    onFailure: (cause) => void failures.push(cause),
  });
  return { clock, batches, failures, store, uses };
}

test("uses of many keys are written together, at most every 30 s, with the latest time of each key", async () => {
  const { clock, batches, uses } = setUp();
  const start = clock.now();
  uses.note("a");
  await clock.advance(10_000);
  for (const id of ["a", "b", "a"]) uses.note(id);
  await clock.advance(useFlushMs - 10_001);
  expect(batches).toEqual([]);
  await clock.advance(1);
  const latest = start + 10_000;
  expect(batches).toEqual([
    [
      { id: "a", usedAt: latest },
      { id: "b", usedAt: latest },
    ],
  ]);
});

test("no timer runs and nothing is written while no key is used", async () => {
  const { clock, batches, uses } = setUp();
  uses.note("a");
  await clock.advance(useFlushMs);
  expect(clock.timerCount).toBe(0);
  await clock.advance(10 * useFlushMs);
  await uses.flush();
  expect(batches).toHaveLength(1);
});

test("a flush writes the waiting uses", async () => {
  const { clock, batches, uses } = setUp();
  uses.note("a");
  await uses.flush();
  expect(batches).toEqual([[{ id: "a", usedAt: clock.now() }]]);
  expect(clock.timerCount).toBe(0);
});

test("uses that could not be written are retried, unless a later use replaced them", async () => {
  const { clock, batches, failures, store, uses } = setUp();
  const start = clock.now();
  store.isDown = true;
  uses.note("a");
  uses.note("b");
  await clock.advance(useFlushMs);
  expect(failures).toHaveLength(1);
  store.isDown = false;
  uses.note("a");
  await clock.advance(useFlushMs);
  expect(batches.map((batch) => new Map(batch.map(({ id, usedAt }) => [id, usedAt])))).toEqual([
    new Map([
      ["a", start + useFlushMs],
      ["b", start],
    ]),
  ]);
});

test("the number of keys whose uses wait in memory is bounded", async () => {
  const { clock, batches, uses } = setUp();
  for (let index = 0; index < 131_073; index++) uses.note(`key-${index}`);
  await clock.advance(0);
  expect(batches.flat()).toHaveLength(131_073);
});

test("the uses of many keys are written in parts, so that no write blocks the process for long, and none is lost", async () => {
  const { clock, batches, uses } = setUp();
  for (let index = 0; index < 100_000; index++) uses.note(`key-${index % 50_000}`);
  await clock.advance(useFlushMs + 10_000);
  expect(batches.every(({ length }) => length <= 1_000)).toBe(true);
  expect(new Set(batches.flat().map(({ id }) => id)).size).toBe(50_000);
  expect([batches.flat().length, clock.timerCount]).toEqual([50_000, 0]);
});
