import { expect, test } from "vitest";
import { createFrameBudget } from "./frame-budget.ts";

const never = (): void => expect.unreachable();

test("counts the bytes of a frame until it is complete", () => {
  const socket = createFrameBudget(1_000).open(never);
  socket.received(400);
  socket.received(300);
  expect(socket.unfinishedBytes).toBe(700);
  socket.completed(690);
  expect(socket.unfinishedBytes).toBe(4);
});

test("estimates of frame headers do not add up over many frames", () => {
  const socket = createFrameBudget(1_000).open(never);
  for (let frame = 0; frame < 10_000; frame++) {
    // A frame of 10 bytes in ten fragments has ten headers.
    socket.received(70);
    socket.completed(10);
    expect(socket.unfinishedBytes).toBeLessThanOrEqual(70);
  }
});

test("a chunk with the end of one frame and the start of the next counts the start", () => {
  const socket = createFrameBudget(1_000).open(never);
  socket.received(500);
  socket.received(300);
  socket.completed(592);
  expect(socket.unfinishedBytes).toBeGreaterThanOrEqual(200);
  expect(socket.unfinishedBytes).toBeLessThanOrEqual(300);
});

test("drops the socket with the largest unfinished frame when all together exceed the limit", () => {
  const budget = createFrameBudget(1_000);
  const dropped: string[] = [];
  const open = (name: string) => budget.open(() => void dropped.push(name));
  const [small, large, last] = [open("small"), open("large"), open("last")];
  small.received(100);
  large.received(600);
  expect(dropped).toEqual([]);
  last.received(400);
  expect(dropped).toEqual(["large"]);
  last.received(400);
  expect(dropped).toEqual(["large"]);
  large.received(5_000);
  expect([dropped, large.unfinishedBytes]).toEqual([["large"], 0]);
});

test("bytes of completed frames and of closed sockets do not count", () => {
  const dropped: number[] = [];
  const budget = createFrameBudget(1_000);
  for (let index = 0; index < 10; index++) {
    const socket = budget.open(() => void dropped.push(index));
    socket.received(700);
    if (index % 2 === 0) socket.completed(694);
    else socket.close();
  }
  expect(dropped).toEqual([]);
});
