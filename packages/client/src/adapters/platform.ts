/**
 * Time and randomness of the platform. Everything else in this package gets them here, so that the fake timers of a test
 * runner drive retries, deadlines and `watch`.
 */
import { invalidArgument } from "../error.ts";

/** Current time in epoch milliseconds. */
export function now(): number {
  return Date.now();
}

/** Milliseconds of a clock that is never set, for durations and deadlines. */
export function monotonic(): number {
  return performance.now();
}

/** Longest delay that timers of every platform accept, in milliseconds; they fire a longer one immediately. */
const maxTimerMs = 2_000_000_000;

/**
 * Calls `onAlarm` once: after `delayMs` milliseconds (0 to 2,000,000,000) or as soon as the signal is aborted, immediately
 * if it already is. Afterwards neither timer nor listener is left.
 *
 * @returns A function that cancels the alarm.
 */
export function startAlarm(delayMs: number, signal: AbortSignal | null | undefined, onAlarm: () => void): () => void {
  const cancel = (): void => {
    clearTimeout(timer);
    signal?.removeEventListener("abort", end);
  };
  const end = (): void => {
    cancel();
    onAlarm();
  };
  signal?.addEventListener("abort", end);
  const timer = setTimeout(end, Math.min(Math.max(0, delayMs), maxTimerMs));
  if (signal?.aborted) end();
  return cancel;
}

/**
 * Calls `run` as soon as the signal is aborted, immediately if it already is. The signal may be a polyfill, which `AbortSignal.any`
 * rejects.
 *
 * @returns A function that removes the listener.
 */
export function onAbort(signal: AbortSignal | null | undefined, run: () => void): () => void {
  signal?.addEventListener("abort", run);
  if (signal?.aborted) run();
  return () => signal?.removeEventListener("abort", run);
}

/** Resolves after `delayMs` milliseconds, or as soon as the signal is aborted. */
export function sleep(delayMs: number, signal: AbortSignal | null | undefined): Promise<void> {
  return new Promise((resolve) => startAlarm(delayMs, signal, resolve));
}

/** A number from 0 up to but not including 1, for jitter only. */
export function random(): number {
  return Math.random();
}

/** A random id of 128 bits. Unlike `crypto.randomUUID` it needs no secure context. */
export function randomId(): string {
  // React Native has none.
  if (!globalThis.crypto)
    throw invalidArgument("crypto", "is missing on this platform: give each message a client_message_id");
  return crypto.getRandomValues(new Uint32Array(4)).join("-");
}
