import type { Clock } from "../clock.ts";

/** The machine's clock. Its timers do not keep the process alive: what waits for one is kept alive by its own socket. */
export const systemClock: Clock = {
  now: () => Date.now(),
  setTimer(delayMs, run) {
    const timer = setTimeout(run, delayMs);
    timer.unref();
    return () => clearTimeout(timer);
  },
};
