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

/** Resolves after `delayMs` of monotonic time, or as soon as the signal aborts. With 0, other work can run before. */
export function sleep(clock: Pick<Clock, "setTimer">, delayMs: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted === true) return Promise.resolve();
  return new Promise((resolve) => {
    const end = (): void => {
      cancel();
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const cancel = clock.setTimer(delayMs, end);
    signal?.addEventListener("abort", end, { once: true });
  });
}

/** Runs work for items that blocks the process, such as a write to SQLite, in batches. Other work can run between them. */
export async function inBatches<Item>(
  clock: Pick<Clock, "setTimer">,
  items: readonly Item[],
  size: number,
  run: (batch: readonly Item[]) => Promise<void>,
): Promise<void> {
  for (let start = 0; start < items.length; start += size) {
    if (start > 0) await sleep(clock, 0);
    await run(items.slice(start, start + size));
  }
}

/**
 * Returns a function for wall time that does not jump, in whole epoch milliseconds. It starts at the wall time of its creation and then advances with
 * monotonic time. Use it for times that a process stores and later compares, such as when a stored id or a cached response expires, and as a
 * lower bound for wall times that must not be before the start of the process, such as those of pushed metrics.
 */
export function createAnchoredNow(clock: Pick<Clock, "now" | "monotonic">): () => number {
  const offsetMs = clock.now() - clock.monotonic();
  return () => Math.floor(offsetMs + clock.monotonic());
}

/** Returns a clock whose `now` is anchored to its start, as by {@link createAnchoredNow}. It shares the monotonic time and the timers of `clock`. */
export function createAnchoredClock(clock: Clock): Clock {
  return { ...clock, now: createAnchoredNow(clock) };
}
