import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import type { SavedTime } from "../ports.ts";
import { createStoredTime } from "./stored-time.ts";

const hourMs = 3_600_000;
const dayMs = 24 * hourMs;

function open(saved: SavedTime | null = null, fails: boolean = false) {
  const clock = createVirtualClock();
  const saves: SavedTime[] = [];
  const failures: unknown[] = [];
  const time = createStoredTime({
    clock,
    store: {
      savedTime: saved,
      async saveTime(given) {
        if (fails) throw new Error("the disk is full");
        saves.push(given);
      },
    },
    emit: (event) => void failures.push(event),
  });
  return { clock, time, saves, failures };
}

test("server time continues from the stored one, at the pace of the monotonic clock", async () => {
  const { clock, time } = open({ now: 5_000, changes: [] });
  expect(time.now()).toBe(5_000);
  clock.shiftWallTime(dayMs);
  await clock.advance(250);
  expect(time.now()).toBe(5_250);
});

test("a wall clock that is set is stored before its time is used, and one that drifts by less than a second is not", () => {
  const { clock, time, saves } = open();
  expect(saves).toHaveLength(1);
  clock.shiftWallTime(999);
  time.wall();
  expect(saves).toHaveLength(1);
  clock.shiftWallTime(1);
  expect(time.wall()).toBe(clock.now());
  expect(saves.at(-1)?.changes.map(({ aheadMs }) => aheadMs)).toEqual([0, 1_000]);
});

test("history expires by the lowest time that the wall clock has shown while the server ran, for as long as the history is kept", async () => {
  const { clock, time } = open();
  await clock.advance(dayMs);
  clock.shiftWallTime(40 * dayMs);
  expect(time.expiryNow(hourMs)).toBe(clock.now() - 40 * dayMs);
  await clock.advance(hourMs + 1);
  expect(time.expiryNow(hourMs)).toBe(clock.now());
  expect(time.expiryNow(dayMs)).toBe(clock.now() - 40 * dayMs);
  clock.shiftWallTime(-50 * dayMs);
  expect(time.expiryNow(hourMs)).toBe(clock.now());
});

test("a stored time is shown as the wall clock showed it at that moment, but never in the future", async () => {
  const { clock, time } = open();
  const [first, shown] = [time.now(), clock.now()];
  await clock.advance(1_000);
  clock.shiftWallTime(dayMs);
  time.wall();
  const second = time.now();
  await clock.advance(1_000);
  expect([time.wallAt(first), time.wallAt(second)]).toEqual([shown, clock.now() - 1_000]);
  clock.shiftWallTime(-2 * dayMs);
  expect(time.wallAt(second)).toBe(clock.now());
});

test("the record of clock changes is bounded even if the clock is set repeatedly, and the lowest time still counts", async () => {
  const { clock, time, saves } = open();
  clock.shiftWallTime(-dayMs);
  time.wall();
  clock.shiftWallTime(dayMs);
  for (let count = 0; count < 3_000; count += 1) {
    await clock.advance(1);
    clock.shiftWallTime(2_000);
    time.wall();
  }
  expect(saves.at(-1)?.changes).toHaveLength(1_000);
  expect(time.expiryNow(dayMs)).toBe(time.now() - dayMs);
  await clock.advance(91 * dayMs);
  clock.shiftWallTime(2_000);
  time.wall();
  expect(saves.at(-1)?.changes.length).toBeLessThan(3);
});

test("a time that cannot be stored is reported, and stored later", async () => {
  const { clock, time, failures } = open(null, true);
  await clock.advance(59_999);
  await time.saveIfDue();
  expect(failures).toHaveLength(1);
  await clock.advance(1);
  await time.saveIfDue();
  expect(failures).toHaveLength(2);
});
