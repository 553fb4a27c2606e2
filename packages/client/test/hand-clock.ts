import { type DrivenClock, installClock } from "./install-clock.ts";

/** A clock for calls, installed: waits pass at once and are noted, the deadline passes when the test says so. */
export interface HandClock extends DrivenClock {
  /** Every wait between two attempts, in milliseconds. */
  readonly waits: number[];
  /** Timers that were neither run nor cancelled. */
  readonly open: () => number;
  passDeadline(): void;
}

/**
 * @param deadlineMs The call's `timeoutMs`, which tells its timer from a wait.
 * @param onWait Called instead of letting a wait pass.
 * @param takes Which timers go by it; the others are the platform's.
 */
export function createHandClock(
  deadlineMs = 60_000,
  onWait?: () => void,
  takes?: (delayMs: number) => boolean,
): HandClock {
  let nowMs = 1_800_000_000_000;
  const timers = new Map<() => void, number>();
  const waits: number[] = [];
  const clock: HandClock = {
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
  installClock(clock, takes);
  return clock;

  function pass(run: () => void, delayMs: number): void {
    if (!timers.delete(run)) return;
    nowMs += delayMs;
    run();
  }
}
