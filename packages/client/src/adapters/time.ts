/** Epoch milliseconds. */
export const now = (): number => Date.now();

/**
 * Rings once: after `delayMs` milliseconds, at most 2,000,000,000, or when the signal is aborted, at once when it is already. Then neither a timer nor a listener is
 * left, and neither after a call of what it gives back, which cancels it.
 */
export const startAlarm = (delayMs: number, signal: AbortSignal | null | undefined, ring: () => void): (() => void) => {
  const cancel = (): void => {
    clearTimeout(timer);
    signal?.removeEventListener("abort", wake);
  };
  const wake = (): void => {
    cancel();
    ring();
  };
  signal?.addEventListener("abort", wake);
  // A longer delay than platforms take would ring at once.
  const timer = setTimeout(wake, Math.min(delayMs, 2e9));
  if (signal?.aborted) wake();
  return cancel;
};

/** Resolves after `delayMs` milliseconds, or as soon as the signal is aborted. */
export const sleep = (delayMs: number, signal: AbortSignal | null | undefined): Promise<void> =>
  new Promise((resolve) => startAlarm(delayMs, signal, resolve));
