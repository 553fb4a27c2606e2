import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { createExpiryCheck } from "./credential-expiry.ts";

const dayMs = 86_400_000;

function setUp(capacity?: number) {
  const clock = createVirtualClock();
  return { clock, hasExpired: createExpiryCheck(clock, capacity), inAnHour: clock.now() + 3_600_000 };
}

test("a credential expires at its time, and one without a time never does", () => {
  const { clock, hasExpired, inAnHour } = setUp();
  expect([hasExpired("a", inAnHour), hasExpired("b", null)]).toEqual([false, false]);
  clock.shiftWallTime(3_600_000);
  expect([hasExpired("a", inAnHour), hasExpired("b", null)]).toEqual([true, false]);
});

test("a credential that was seen expired stays expired after the wall clock is set back, and an unseen one is valid again", () => {
  const { clock, hasExpired, inAnHour } = setUp();
  clock.shiftWallTime(dayMs);
  expect(hasExpired("a", inAnHour)).toBe(true);
  clock.shiftWallTime(-dayMs);
  expect([hasExpired("a", inAnHour), hasExpired("b", inAnHour)]).toEqual([true, false]);
});

test("a credential that was seen expired is valid again with a later expiry", () => {
  const { clock, hasExpired, inAnHour } = setUp();
  clock.shiftWallTime(dayMs);
  expect(hasExpired("a", inAnHour)).toBe(true);
  expect(hasExpired("a", clock.now() + 1)).toBe(false);
});

test("a credential that was seen expired stays expired although the memory of them is full", () => {
  const { clock, hasExpired, inAnHour } = setUp(2);
  clock.shiftWallTime(dayMs);
  for (const credential of ["a", "b", "c", "d"]) hasExpired(credential, inAnHour);
  clock.shiftWallTime(-dayMs);
  expect(["a", "b", "c", "d"].map((credential) => hasExpired(credential, inAnHour))).toEqual([true, true, true, true]);
  expect(hasExpired("e", inAnHour + 1)).toBe(false);
});
