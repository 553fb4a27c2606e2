import { expect, test } from "vitest";
import { createVirtualClock } from "./virtual-clock.ts";

test("timers run by due time, then in the order in which they were set, and see their due time as the current time", async () => {
  const clock = createVirtualClock(1_000);
  const seen: [string, number][] = [];
  clock.setTimer(20, () => seen.push(["late", clock.now()]));
  clock.setTimer(10, () => seen.push(["first", clock.now()]));
  clock.setTimer(10, () => seen.push(["second", clock.now()]));
  await clock.advance(15);
  expect(seen).toEqual([
    ["first", 1_010],
    ["second", 1_010],
  ]);
  expect(clock.now()).toBe(1_015);
  await clock.advance(5);
  expect(seen.at(-1)).toEqual(["late", 1_020]);
});

test("a timer that is set during advance() runs in the same call when it becomes due", async () => {
  const clock = createVirtualClock(0);
  const seen: number[] = [];
  const tick = (): void => {
    seen.push(clock.now());
    clock.setTimer(10, tick);
  };
  clock.setTimer(10, tick);
  await clock.advance(35);
  expect(seen).toEqual([10, 20, 30]);
  expect(clock.timerCount).toBe(1);
});

test("a cancelled timer never runs", async () => {
  const clock = createVirtualClock(0);
  let runs = 0;
  const cancel = clock.setTimer(10, () => (runs += 1));
  cancel();
  cancel();
  await clock.advance(100);
  expect([runs, clock.timerCount]).toEqual([0, 0]);
});

test("promises that a timer resolves continue before the next timer runs", async () => {
  const clock = createVirtualClock(0);
  const seen: string[] = [];
  const gate = new Promise<void>((resolve) => void clock.setTimer(1, resolve));
  void gate.then(() => seen.push("continued"));
  clock.setTimer(2, () => seen.push("next timer"));
  await clock.advance(2);
  expect(seen).toEqual(["continued", "next timer"]);
});

test("shiftWallTime moves only wall time, in both directions, and leaves timers alone", async () => {
  const clock = createVirtualClock(1_000);
  const seen: number[] = [];
  clock.setTimer(10, () => seen.push(clock.now()));
  clock.shiftWallTime(-500);
  expect([clock.now(), clock.monotonic()]).toEqual([500, 0]);
  await clock.advance(10);
  clock.shiftWallTime(2_000);
  expect([clock.now(), clock.monotonic(), seen]).toEqual([2_510, 10, [510]]);
});
