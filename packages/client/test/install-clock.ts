import { vi } from "vitest";

/** A clock that a test drives. */
export interface DrivenClock {
  now(): number;
  /** Calls `run` when `delayMs` milliseconds have passed; gives what cancels that. */
  setTimer(delayMs: number, run: () => void): () => void;
}

/**
 * Lets the rest of a test go by a clock: `Date.now`, `setTimeout` and `clearTimeout` of the platform, as fake timers of a user's tests would.
 * @param takes Which timers; the others are the platform's.
 */
export function installClock(clock: DrivenClock, takes: (delayMs: number) => boolean = () => true): void {
  vi.spyOn(Date, "now").mockImplementation(() => clock.now());
  vi.stubGlobal("setTimeout", (run: () => void, delayMs = 0) =>
    takes(delayMs) ? clock.setTimer(delayMs, run) : platform.setTimeout(run, delayMs),
  );
  vi.stubGlobal("clearTimeout", (timer: ReturnType<typeof setTimeout> | (() => void)) =>
    typeof timer === "function" ? timer() : platform.clearTimeout(timer),
  );
}

const platform = { setTimeout, clearTimeout };

/** Lets chance be what a test says, from 0 up to and without 1. */
export function installChance(chance: number): void {
  vi.spyOn(Math, "random").mockReturnValue(chance);
}
