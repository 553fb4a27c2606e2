import type { Clock } from "@letta-environments/platform";

/** A clock whose wall time a test can set back. Monotonic time only follows moves forward. It has no timers. */
export interface MovableClock extends Clock {
  /** Moves it by this many milliseconds; back when they are negative. */
  move(byMs: number): void;
}

/** Creates a {@link MovableClock}; it starts at 1,800,000,000,000 (2027-01-15). */
export function createMovableClock(): MovableClock {
  let nowMs = 1_800_000_000_000;
  let forwardMs = 0;
  return {
    now: () => nowMs,
    monotonic: () => forwardMs,
    setTimer() {
      throw new Error("this clock has no timers");
    },
    move(byMs) {
      nowMs += byMs;
      forwardMs += Math.max(0, byMs);
    },
  };
}
