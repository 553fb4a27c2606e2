import { createMemoryBudget, type MemoryLimit } from "@letta-environments/environment-server";
import { expect, test } from "vitest";
import { SocketBudget } from "./frame-budget.ts";

const limits = { maxOwnerBytes: 600_000, maxTotalBytes: 1_000_000 };

function createFrameBudget(memoryLimits: typeof limits) {
  const budget = createMemoryBudget(memoryLimits);
  return {
    open: (owner: string, drop: (limit: MemoryLimit) => void) =>
      new SocketBudget(budget, { tenant: "acme", keyId: owner }, drop),
  };
}

const never = (): void => expect.unreachable();

test("the frame budget counts the bytes of a frame until it is complete", () => {
  const socket = createFrameBudget(limits).open("key", never);
  socket.addChunk(400);
  socket.addChunk(300);
  expect(socket.unfinishedBytes).toBe(700);
  socket.completeFrame(690);
  expect(socket.unfinishedBytes).toBe(4);
});

test("estimates of frame headers do not add up over many frames", () => {
  const socket = createFrameBudget(limits).open("key", never);
  for (let frame = 0; frame < 10_000; frame++) {
    // A frame of 10 bytes in ten fragments has ten headers.
    socket.addChunk(70);
    socket.completeFrame(10);
    expect(socket.unfinishedBytes).toBeLessThanOrEqual(70);
  }
});

test("a chunk with the end of one frame and the start of the next counts the start", () => {
  const socket = createFrameBudget(limits).open("key", never);
  socket.addChunk(500);
  socket.addChunk(300);
  socket.completeFrame(592);
  expect(socket.unfinishedBytes).toBeGreaterThanOrEqual(200);
  expect(socket.unfinishedBytes).toBeLessThanOrEqual(300);
});

test("the frame budget drops the largest socket of the owner that exceeds its limit", () => {
  const budget = createFrameBudget(limits);
  const dropped: string[] = [];
  const open = (owner: string, name: string) => budget.open(owner, (limit) => void dropped.push(`${name}: ${limit}`));
  const [other, small, large] = [open("other", "other"), open("key", "small"), open("key", "large")];
  other.addChunk(590_000);
  small.addChunk(100_000);
  large.addChunk(300_000);
  expect(dropped).toEqual([]);
  small.addWaitingFrame(250_000);
  expect(dropped).toEqual(["small: owner"]);
  small.addChunk(5_000_000);
  expect([dropped, small.unfinishedBytes, small.isClosed]).toEqual([["small: owner"], 0, true]);
});

test("frames that wait to be written count until they are written, including the overhead of each", () => {
  const dropped: string[] = [];
  const socket = createFrameBudget(limits).open("key", (limit) => void dropped.push(limit));
  const written = Array.from({ length: 1_100 }, () => socket.addWaitingFrame(2));
  expect([socket.waitingBytes, dropped]).toEqual([2_200, []]);
  for (const done of written) done();
  expect(socket.waitingBytes).toBe(0);
  for (let frame = 0; frame < 1_200; frame++) socket.addWaitingFrame(2);
  expect(dropped).toEqual(["owner"]);
});

test("a frame that arrives in many small chunks counts with the overhead of each chunk", () => {
  const dropped: string[] = [];
  const socket = createFrameBudget(limits).open("key", (limit) => void dropped.push(limit));
  for (let chunk = 0; chunk < 1_200; chunk++) socket.addChunk(1);
  expect(dropped).toEqual(["owner"]);
});

test("bytes of completed frames and of closed sockets do not count", () => {
  const dropped: number[] = [];
  const budget = createFrameBudget(limits);
  for (let index = 0; index < 10; index++) {
    const socket = budget.open("key", () => void dropped.push(index));
    socket.addChunk(500_000);
    if (index % 2 === 0) socket.completeFrame(499_994);
    else socket.close();
  }
  expect(dropped).toEqual([]);
});
