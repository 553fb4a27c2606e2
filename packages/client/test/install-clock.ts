import { vi } from "vitest";

/** A clock that a test drives. */
export interface DrivenClock {
  now(): number;
  /** Default: `now`. */
  monotonic?(): number;
  /** Calls `run` after `delayMs` milliseconds. Returns a function that cancels it. */
  setTimer(delayMs: number, run: () => void): () => void;
}

/**
 * Replaces the platform's `Date.now`, `performance.now`, `setTimeout` and `clearTimeout` by a clock for the rest of a test, as the fake timers of a
 * user's tests do.
 *
 * @param takes Which timers the clock drives. The others remain the platform's.
 */
export function installClock(clock: DrivenClock, takes: (delayMs: number) => boolean = () => true): void {
  vi.spyOn(Date, "now").mockImplementation(() => clock.now());
  vi.spyOn(performance, "now").mockImplementation(() => clock.monotonic?.() ?? clock.now());
  vi.stubGlobal("setTimeout", (run: () => void, delayMs = 0) =>
    takes(delayMs) ? clock.setTimer(delayMs, run) : platform.setTimeout(run, delayMs),
  );
  vi.stubGlobal("clearTimeout", (timer: ReturnType<typeof setTimeout> | (() => void)) =>
    typeof timer === "function" ? timer() : platform.clearTimeout(timer),
  );
}

const platform = { setTimeout, clearTimeout };

/** Makes `Math.random` return a fixed number from 0 up to but not including 1. */
export function installRandom(value: number): void {
  vi.spyOn(Math, "random").mockReturnValue(value);
}
