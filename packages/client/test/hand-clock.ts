import type { Clock } from "../src/index.ts";

/** A clock for calls: waits pass at once and are noted, the deadline passes when the test says so. */
export interface HandClock extends Clock {
  /** Every wait between two attempts, in milliseconds. */
  readonly waits: number[];
  /** Timers that were neither run nor cancelled. */
  readonly open: () => number;
  passDeadline(): void;
}

/**
 * @param deadlineMs The call's `timeoutMs`, which tells its timer from a wait.
 * @param onWait Called instead of letting a wait pass.
 */
export function createHandClock(deadlineMs = 60_000, onWait?: () => void): HandClock {
  let nowMs = 1_800_000_000_000;
  const timers = new Map<() => void, number>();
  const waits: number[] = [];
  return {
    waits,
    open: () => timers.size,
    now: () => nowMs,
    setTimer(delayMs, run) {
      timers.set(run, delayMs);
      if (delayMs !== deadlineMs) {
        waits.push(delayMs);
        if (onWait === undefined) queueMicrotask(() => pass(run, delayMs));
        else queueMicrotask(onWait);
      }
      return () => void timers.delete(run);
    },
    passDeadline() {
      for (const [run, delayMs] of timers) if (delayMs === deadlineMs) pass(run, delayMs);
    },
  };

  function pass(run: () => void, delayMs: number): void {
    if (!timers.delete(run)) return;
    nowMs += delayMs;
    run();
  }
}
