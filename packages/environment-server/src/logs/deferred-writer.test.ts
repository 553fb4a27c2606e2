import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { createDeferredWriter } from "./deferred-writer.ts";

const delayMs = 1_000;

function createWorld(before: (call: number) => Promise<void> | void = () => undefined) {
  const clock = createVirtualClock();
  const written: (readonly string[])[] = [];
  const saved: string[] = [];
  const failures: unknown[] = [];
  let calls = 0;
  const writer = createDeferredWriter<string>({
    clock,
    delayMs,
    maxWaiting: 3,
    async write(changes) {
      await before(++calls);
      written.push(changes);
    },
    onFailure: (cause) => void failures.push(cause),
    onSaved: (key) => void saved.push(key),
  });
  return { clock, written, saved, failures, writer, calls: () => calls };
}

function failingAt(...failing: readonly number[]): (call: number) => Promise<void> {
  return (call) => (failing.includes(call) ? Promise.reject(new Error("the store is away")) : Promise.resolve());
}

test("changes that may wait share a write, and the last one of a key counts", async () => {
  const { clock, written, saved, writer } = createWorld();
  writer.later("a", "a1");
  writer.later("b", "b1");
  writer.later("a", "a2");
  expect([written, writer.unsaved("a")]).toEqual([[], "a2"]);
  await clock.advance(delayMs);
  expect([written, saved, writer.unsaved("a")]).toEqual([[["a2", "b1"]], ["a", "b"], undefined]);
});

test("a write that takes longer never replaces a later one of the same key", async () => {
  const ends: (() => void)[] = [];
  const { written, writer } = createWorld((call) => (call === 1 ? new Promise((end) => ends.push(end)) : undefined));
  const first = writer.now("a", "running");
  const second = writer.now("a", "finished");
  await writer.now("b", "finished");
  ends[0]?.();
  expect([await first, await second]).toEqual([true, true]);
  expect(written).toEqual([["finished"], ["running"], ["finished"]]);
});

test("a failed write is repeated until it succeeds, counts until then, and is reported each time", async () => {
  const { clock, written, saved, failures, writer } = createWorld(failingAt(1, 2));
  expect(await writer.now("a", "finished")).toBe(false);
  expect([saved, writer.unsaved("a")]).toEqual([[], "finished"]);
  expect(await writer.flush()).toBe(false);
  await clock.advance(delayMs);
  expect([written, saved, failures.length, writer.unsaved("a")]).toEqual([[["finished"]], ["a"], 2, undefined]);
  expect(await writer.flush()).toBe(true);
});

test("a failed write is not repeated after a later one of its key, after it was cancelled, or after the end", async () => {
  const { clock, written, writer, calls } = createWorld(failingAt(1, 3, 4));
  await writer.now("a", "a1");
  await writer.now("a", "a2");
  await clock.advance(10 * delayMs);
  expect([written, calls()]).toEqual([[["a2"]], 2]);
  const cancelled = writer.now("b", "b1");
  writer.cancel("b");
  expect(await cancelled).toBe(false);
  await clock.advance(10 * delayMs);
  expect(calls()).toBe(3);
  writer.later("c", "c1");
  await writer.close();
  await clock.advance(10 * delayMs);
  expect(calls()).toBe(4);
});

test("a change of a key that was cancelled before is written", async () => {
  const { written, writer } = createWorld();
  const first = writer.now("a", "a1");
  writer.cancel("a");
  await first;
  await writer.now("a", "a2");
  expect(written).toEqual([["a1"], ["a2"]]);
});

test("while the log fails, the oldest changes beyond the limit are dropped", async () => {
  const { clock, written, writer } = createWorld();
  for (const key of ["a", "b", "c", "d"]) writer.later(key, key);
  await clock.advance(delayMs);
  expect(written).toEqual([["b", "c", "d"]]);
});
