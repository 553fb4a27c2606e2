import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { createDeferredWriter } from "./deferred-writer.ts";

const delayMs = 1_000;

function createWorld(before: (call: number) => Promise<void> | void = () => undefined) {
  const clock = createVirtualClock();
  const written: (readonly string[])[] = [];
  const done: string[] = [];
  const failures: unknown[] = [];
  let calls = 0;
  const writer = createDeferredWriter<string>({
    clock,
    delayMs,
    maxWaiting: 3,
    ownerOf: (change) => (change.startsWith("other") ? "other" : "acme"),
    async write(changes) {
      await before(++calls);
      written.push(changes);
    },
    onFailure: (cause) => void failures.push(cause),
    onDone: (key) => void done.push(key),
  });
  return { clock, written, done, failures, writer, calls: () => calls };
}

function failingAt(...failing: readonly number[]): (call: number) => Promise<void> {
  return (call) => (failing.includes(call) ? Promise.reject(new Error("the store is away")) : Promise.resolve());
}

test("changes that may wait share a write, and the last one of a key counts", async () => {
  const { clock, written, done, writer } = createWorld();
  writer.writeLater("a", "a1");
  writer.writeLater("b", "b1");
  writer.writeLater("a", "a2");
  expect([written, writer.unsavedChange("a")]).toEqual([[], "a2"]);
  await clock.advance(delayMs);
  expect([written, done, writer.unsavedChange("a")]).toEqual([[["a2", "b1"]], ["a", "b"], undefined]);
});

test("a write that takes longer never replaces a later one of the same key", async () => {
  const ends: (() => void)[] = [];
  const { written, writer } = createWorld((call) => (call === 1 ? new Promise((end) => ends.push(end)) : undefined));
  const first = writer.writeNow("a", "running");
  const second = writer.writeNow("a", "finished");
  await writer.writeNow("b", "finished");
  ends[0]?.();
  expect([await first, await second]).toEqual([true, true]);
  expect(written).toEqual([["finished"], ["running"], ["finished"]]);
});

test("a failed write is repeated until it succeeds, counts until then, and is reported each time", async () => {
  const { clock, written, done, failures, writer } = createWorld(failingAt(1, 2));
  expect(await writer.writeNow("a", "finished")).toBe(false);
  expect([done, writer.unsavedChange("a")]).toEqual([[], "finished"]);
  expect(await writer.flush()).toBe(false);
  await clock.advance(delayMs);
  expect([written, done, failures.length, writer.unsavedChange("a")]).toEqual([[["finished"]], ["a"], 2, undefined]);
  expect(await writer.flush()).toBe(true);
});

test("a failed write is not repeated after a later write of its key, after cancellation, or after closing", async () => {
  const { clock, written, writer, calls } = createWorld(failingAt(1, 3, 4));
  await writer.writeNow("a", "a1");
  await writer.writeNow("a", "a2");
  await clock.advance(10 * delayMs);
  expect([written, calls()]).toEqual([[["a2"]], 2]);
  const cancelled = writer.writeNow("b", "b1");
  writer.cancel("b");
  expect(await cancelled).toBe(false);
  await clock.advance(10 * delayMs);
  expect(calls()).toBe(3);
  writer.writeLater("c", "c1");
  await writer.close();
  await clock.advance(10 * delayMs);
  expect(calls()).toBe(4);
});

test("a change of a previously cancelled key is written", async () => {
  const { written, writer } = createWorld();
  const first = writer.writeNow("a", "a1");
  writer.cancel("a");
  await first;
  await writer.writeNow("a", "a2");
  expect(written).toEqual([["a1"], ["a2"]]);
});

test("while the log fails, the oldest changes beyond the limit are dropped", async () => {
  const { clock, written, writer } = createWorld();
  for (const key of ["a", "b", "c", "d"]) writer.writeLater(key, key);
  await clock.advance(delayMs);
  expect(written).toEqual([["b", "c", "d"]]);
});

test("while the log fails, the owner with the most changes loses its oldest, and the changes of another owner are kept", async () => {
  const { clock, written, done, writer } = createWorld(failingAt(1, 2));
  await writer.writeNow("x", "other");
  await writer.writeNow("y", "acme");
  for (const key of ["a", "b", "a", "c"]) writer.writeLater(key, key);
  expect([done, writer.unsavedChange("y"), writer.unsavedChange("x")]).toEqual([["y", "a"], undefined, "other"]);
  await clock.advance(delayMs);
  expect([written, done]).toEqual([[["other", "b", "c"]], ["y", "a", "x", "b", "c"]]);
});

test("a change that was dropped is not replaced by an earlier one of its key whose write has failed", async () => {
  const failed = Promise.withResolvers<void>();
  const { clock, written, done, writer } = createWorld((call) => (call === 1 ? failed.promise : undefined));
  for (const key of ["a", "b"]) writer.writeLater(key, `${key}1`);
  const flushed = writer.flush();
  for (const key of ["b", "c", "d"]) writer.writeLater(key, `${key}2`);
  failed.reject(new Error("the store is away"));
  expect([await flushed, done, writer.unsavedChange("b")]).toEqual([false, ["b"], undefined]);
  await clock.advance(delayMs);
  expect([written, done]).toEqual([[["c2", "d2", "a1"]], ["b", "c", "d", "a"]]);
});

test("changes that have been written or cancelled, or wait again, take no room of others", async () => {
  const { clock, written, writer } = createWorld();
  for (const key of ["a", "b", "c"]) writer.writeLater(key, key);
  await clock.advance(delayMs);
  for (const key of ["d", "e", "d", "e"]) writer.writeLater(key, key);
  writer.cancel("d");
  await writer.writeNow("e", "e");
  for (const key of ["other-1", "other-2"]) writer.writeLater(key, key);
  writer.writeLater("f", "f");
  writer.writeLater("other-3", "other-3");
  await clock.advance(delayMs);
  expect(written).toEqual([["a", "b", "c"], ["e"], ["other-2", "f", "other-3"]]);
});

test("a change that is dropped while an earlier one of its key is being written is done when that write has ended", async () => {
  const ends: (() => void)[] = [];
  const { done, writer } = createWorld((call) => (call === 1 ? new Promise((end) => ends.push(end)) : undefined));
  const first = writer.writeNow("a", "a1");
  for (const key of ["a", "b", "c", "d"]) writer.writeLater(key, key);
  expect(done).toEqual([]);
  ends[0]?.();
  await first;
  expect(done).toEqual(["a"]);
  writer.cancel("b");
  expect(done).toEqual(["a", "b"]);
});
