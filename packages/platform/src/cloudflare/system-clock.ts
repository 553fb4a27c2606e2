import type { Clock } from "../clock.ts";

/** The clock of Workers. It stands still between two waits, and its timers end with the request that set them. */
export const systemClock: Clock = {
  now: () => Date.now(),
  setTimer(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
};
