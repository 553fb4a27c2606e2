/**
 * A circuit breaker saves callers the wait for a service that has just failed. It opens with the first failure. After the
 * cool-down it lets a single call through as a trial (half-open): success closes it, failure starts another cool-down.
 *
 * Calls overlap, so results can arrive out of order: success of a call that started before the failure does not close the
 * breaker, and its failure does not prolong the cool-down.
 */
export interface CircuitBreaker {
  /** Returns whether to call the service: always while closed; while open, once after each cool-down until that trial ends. */
  admits(): boolean;
  /** Records success. Returns true if it closed the breaker. */
  succeeded(): boolean;
  /** Records failure. Returns true if it opened the breaker. */
  failed(): boolean;
}

/** Creates a closed {@link CircuitBreaker}. `monotonic` must never go back. */
export function createCircuitBreaker(
  clock: { /** Milliseconds. */ monotonic(): number },
  cooldownMs: number,
): CircuitBreaker {
  let openedAtMs: number | null = null;
  let isOnTrial = false;
  return {
    admits() {
      if (openedAtMs === null) return true;
      if (isOnTrial || clock.monotonic() - openedAtMs < cooldownMs) return false;
      isOnTrial = true;
      return true;
    },
    succeeded() {
      if (openedAtMs === null || !isOnTrial) return false;
      openedAtMs = null;
      isOnTrial = false;
      return true;
    },
    failed() {
      const hasOpened = openedAtMs === null;
      if (!hasOpened && !isOnTrial) return false;
      openedAtMs = clock.monotonic();
      isOnTrial = false;
      return hasOpened;
    },
  };
}
