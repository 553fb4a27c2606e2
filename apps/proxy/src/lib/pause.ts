import type { Clock } from "@letta-environments/platform";

/** Resolves after some time, in milliseconds, or as soon as the signal aborts. */
export function pause(clock: Pick<Clock, "setTimer">, durationMs: number, signal?: AbortSignal): Promise<void> {
  if (signal?.aborted === true) return Promise.resolve();
  return new Promise((resolve) => {
    const end = (): void => {
      cancel();
      signal?.removeEventListener("abort", end);
      resolve();
    };
    const cancel = clock.setTimer(durationMs, end);
    signal?.addEventListener("abort", end, { once: true });
  });
}
