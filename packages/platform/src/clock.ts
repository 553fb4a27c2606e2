/**
 * Time as a port, so that code that depends on time runs under a virtual clock in tests.
 *
 * A machine has two clocks. Its wall clock can jump in both directions, for example when it is synchronised. Store and
 * display wall time, and measure durations and timeouts with monotonic time.
 */
export interface Clock {
  /** Wall time in epoch milliseconds. Use it only for times that are stored or shown. */
  now(): number;
  /** Milliseconds since an arbitrary start. It never goes back, and changes of the wall clock do not affect it. */
  monotonic(): number;
  /** Runs `run` once, after `delayMs` of monotonic time. The returned function cancels it; late and repeated calls do nothing. */
  setTimer(delayMs: number, run: () => void): () => void;
}

/**
 * Returns a function for the time by which stored records expire, in whole epoch milliseconds. It starts at the wall time and then
 * advances with monotonic time, so that a jump of the wall clock does not make this process forget records.
 */
export function createRetentionClock(clock: Pick<Clock, "now" | "monotonic">): () => number {
  const offsetMs = clock.now() - clock.monotonic();
  return () => Math.floor(offsetMs + clock.monotonic());
}
