import type { Clock } from "@letta-environments/platform";

/** A clock that a test sets, also back. It has no timers. */
export interface MovableClock extends Clock {
  /** Moves it by this many milliseconds; back when they are negative. */
  move(byMs: number): void;
  /** Milliseconds by which it was moved forward on the whole. */
  readonly forwardMs: number;
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
    get forwardMs() {
      return forwardMs;
    },
  };
}
