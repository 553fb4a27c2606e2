import type { Clock } from "@letta-environments/platform";

/** A clock that stands still until a test moves it. */
export interface VirtualClock extends Clock {
  /**
   * Moves time forward and runs the timers that fall due, in order of time and then of setting; whatever promises a timer
   * resolves is run before the next timer.
   */
  advance(durationMs: number): Promise<void>;
  /** Number of timers that wait. */
  readonly timerCount: number;
}

interface Timer {
  readonly dueMs: number;
  readonly run: () => void;
}

/** Creates a {@link VirtualClock}; it starts at 1,800,000,000,000 (2027-01-15) unless told otherwise. */
export function createVirtualClock(startMs: number = 1_800_000_000_000): VirtualClock {
  let nowMs = startMs;
  const timers = new Set<Timer>();
  return {
    now: () => nowMs,
    setTimer(delayMs, run) {
      const timer: Timer = { dueMs: nowMs + Math.max(0, delayMs), run };
      timers.add(timer);
      return () => void timers.delete(timer);
    },
    async advance(durationMs) {
      const endMs = nowMs + durationMs;
      await settle();
      for (let timer = nextDue(timers, endMs); timer !== undefined; timer = nextDue(timers, endMs)) {
        timers.delete(timer);
        nowMs = Math.max(nowMs, timer.dueMs);
        timer.run();
        await settle();
      }
      nowMs = endMs;
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

/** Resolves once every promise that could go on by itself has done so. */
function settle(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
