import type { Clock } from "./clock.ts";

/** Resolves after `delayMs` milliseconds, or at once when the signal is aborted; neither a timer nor a listener is left. */
export function sleep(clock: Clock, delayMs: number, signal: AbortSignal | null | undefined): Promise<void> {
  return new Promise((resolve) => {
    const wake = (): void => {
      cancel();
      signal?.removeEventListener("abort", wake);
      resolve();
    };
    const cancel = clock.setTimer(delayMs, wake);
    signal?.addEventListener("abort", wake);
    if (signal?.aborted) wake();
  });
}
