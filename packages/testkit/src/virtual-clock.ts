/** Time under the control of a test, for everything that takes a `Clock`. */
import type { Clock } from "@letta-environments/platform";

/** A clock that does not advance until a test moves it. */
export interface VirtualClock extends Clock {
  /**
   * Moves wall and monotonic time forward and runs the timers that become due, by due time and then in the order in which
   * they were set. Promises that a timer resolves continue before the next timer runs.
   */
  advance(durationMs: number): Promise<void>;
  /** Moves only the wall clock, back when `byMs` is negative, as synchronisation does. No timer runs. */
  shiftWallTime(byMs: number): void;
  /** Number of pending timers. */
  readonly timerCount: number;
}

interface Timer {
  readonly dueMs: number;
  readonly run: () => void;
}

/** Creates a {@link VirtualClock}. Wall time starts at `startMs`, by default 1,800,000,000,000 (2027-01-15); monotonic time at 0. */
export function createVirtualClock(startMs: number = 1_800_000_000_000): VirtualClock {
  let monotonicMs = 0;
  let wallOffsetMs = startMs;
  const timers = new Set<Timer>();
  return {
    // Whole milliseconds, like the system clock. Timers may run in between.
    now: () => Math.floor(wallOffsetMs + monotonicMs),
    monotonic: () => monotonicMs,
    setTimer(delayMs, run) {
      const timer: Timer = { dueMs: monotonicMs + Math.max(0, delayMs), run };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
    async advance(durationMs) {
      const endMs = monotonicMs + durationMs;
      await settle();
      for (let timer = nextDue(timers, endMs); timer !== undefined; timer = nextDue(timers, endMs)) {
        timers.delete(timer);
        monotonicMs = Math.max(monotonicMs, timer.dueMs);
        timer.run();
        await settle();
      }
      monotonicMs = endMs;
    },
    shiftWallTime(byMs) {
      wallOffsetMs += byMs;
    },
    get timerCount() {
      return timers.size;
    },
  };
}

function nextDue(timers: ReadonlySet<Timer>, endMs: number): Timer | undefined {
  let next: Timer | undefined;
  for (const timer of timers) {
    if (timer.dueMs <= endMs && (next === undefined || timer.dueMs < next.dueMs)) next = timer;
  }
  return next;
}

/** Resolves after every promise that can continue has done so. */
function settle(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
