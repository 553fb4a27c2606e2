/**
 * Wall time that does not jump. It starts at the wall time of its creation and then advances with monotonic time. Use it for
 * times that a process stores and later compares, such as when a stored id or a cached response expires.
 */
import type { Clock } from "./clock.ts";

/** Returns a clock whose `now` is steady. Its monotonic time and its timers are those of `clock`. */
export function createSteadyClock(clock: Clock): Clock {
  const offsetMs = clock.now() - clock.monotonic();
  return {
    now: () => Math.floor(offsetMs + clock.monotonic()),
    monotonic: () => clock.monotonic(),
    setTimer: (delayMs, run) => clock.setTimer(delayMs, run),
  };
}
