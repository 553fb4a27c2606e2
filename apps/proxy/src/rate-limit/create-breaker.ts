import type { Clock } from "@letta-environments/platform";

/** Spares callers the wait for something that has just failed. */
export interface Breaker {
  /** Whether to try: always while closed; while open once after each rest, until that try has ended. */
  admits(): boolean;
  /** A try went well. True when that has closed the breaker. */
  succeeded(): boolean;
  /** A try failed. True when that has opened the breaker. */
  failed(): boolean;
}

/** Creates a {@link Breaker}: it opens with the first failure and rests for `restMs`. */
export function createBreaker(clock: Clock, restMs: number): Breaker {
  let restsSince: number | null = null;
  let isTrying = false;
  return {
    admits() {
      if (restsSince === null) return true;
      const restedMs = clock.now() - restsSince;
      // A clock that was set back must not keep the breaker open.
      if (isTrying || (restedMs >= 0 && restedMs < restMs)) return false;
      isTrying = true;
      return true;
    },
    succeeded() {
      // A try from before the failure says nothing about the time after it.
      if (restsSince === null || !isTrying) return false;
      restsSince = null;
      isTrying = false;
      return true;
    },
    failed() {
      const hasOpened = restsSince === null;
      // What began before the breaker opened and fails only now must not prolong the rest.
      if (!hasOpened && !isTrying) return false;
      restsSince = clock.now();
      isTrying = false;
      return hasOpened;
    },
  };
}
