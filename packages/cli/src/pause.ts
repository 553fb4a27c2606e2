import type { Clock } from "./host.ts";

/** Resolves after a time, in milliseconds, or when the signal aborts. It never rejects. */
export function pause(clock: Pick<Clock, "setTimer">, signal: AbortSignal, delayMs: number): Promise<void> {
  if (delayMs <= 0 || signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const finish = (): void => {
      cancel();
      signal.removeEventListener("abort", finish);
      resolve();
    };
    const cancel = clock.setTimer(delayMs, finish);
    signal.addEventListener("abort", finish);
  });
}
