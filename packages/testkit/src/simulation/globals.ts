/** Time and randomness of the platform, replaced by those of a simulation, so that programs which use the platform's run in it. */
import type { Clock } from "@letta-environments/platform";
import type { Random } from "./random.ts";

/**
 * Replaces `Date.now`, `setTimeout`, `clearTimeout` and `Math.random` until the returned function is called. One simulation at a
 * time can have them.
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
