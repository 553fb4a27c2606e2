/** Replaces time and randomness of the platform with a simulation's, so that programs that use the globals run in it. */
import type { Clock } from "@letta-environments/platform";
import type { Random } from "./random.ts";

/**
 * Replaces `Date.now`, `setTimeout`, `clearTimeout` and `Math.random` until the returned function is called. Only one simulation
 * at a time can do this.
 */
export function replaceGlobals(clock: Clock, random: Random): () => void {
  const { setTimeout, clearTimeout } = globalThis;
  const { now } = Date;
  const { random: platformRandom } = Math;
  const replaceTimers = (timers: object): void => void Object.assign(globalThis, timers);
  replaceTimers({
    setTimeout: (run: (...values: unknown[]) => void, delayMs: number = 0, ...values: unknown[]) =>
      clock.setTimer(delayMs, () => run(...values)),
    clearTimeout: (timer: unknown) => {
      if (typeof timer === "function") timer();
    },
  });
  Date.now = () => clock.now();
  Math.random = () => random.fraction();
  return () => {
    replaceTimers({ setTimeout, clearTimeout });
    Date.now = now;
    Math.random = platformRandom;
  };
}
