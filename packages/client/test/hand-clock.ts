import { type DrivenClock, installClock } from "./install-clock.ts";

/** A fake clock for calls: waits pass at once and are recorded, and the deadline passes when the test says so. */
export interface HandClock extends DrivenClock {
  /** Every wait between two attempts, in milliseconds. */
  readonly waits: number[];
  /** Number of timers that have neither run nor been cancelled. */
  readonly open: () => number;
  passDeadline(): void;
}

/**
 * Creates and installs a {@link HandClock}.
 *
 * @param deadlineMs The call's `timeoutMs`, which distinguishes its timer from a wait.
 * @param onWait Called instead of letting a wait pass.
 * @param takes Which timers the clock drives. The others remain the platform's.
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
