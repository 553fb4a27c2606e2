import type { Clock } from "../clock.ts";

/** The clock of every web platform runtime. */
export const webClock: Clock = {
  now: () => Date.now(),
  setTimer(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    return () => clearTimeout(timer);
  },
};
