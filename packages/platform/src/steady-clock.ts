/**
 * Wall time that does not jump. It starts at the wall time of its creation and then advances with monotonic time. Use it for
 * times that a process stores and later compares, such as when a stored id or a cached response expires.
 */
import type { Clock } from "./clock.ts";

/** Returns a function for steady wall time, in whole epoch milliseconds. */
export function createSteadyNow(clock: Pick<Clock, "now" | "monotonic">): () => number {
  const offsetMs = clock.now() - clock.monotonic();
  return () => Math.floor(offsetMs + clock.monotonic());
}

/** Returns a clock whose `now` is steady. It shares the monotonic time and the timers of `clock`. */
export function createSteadyClock(clock: Clock): Clock {
  return { ...clock, now: createSteadyNow(clock) };
}
