/**
 * A circuit breaker saves callers the wait for a service that fails. It opens after a number of consecutive failures. After the cool-down it lets a
 * single call through as a trial (half-open): success closes it, failure starts another cool-down.
 *
 * Calls overlap, so results can arrive out of order: while it is open, only the result of the trial counts. The late result of a call that started
 * before does not close the breaker and does not prolong the cool-down.
 */
export interface CircuitBreaker {
  /**
   * Returns how to call the service; `null`: not now. While open, one trial is admitted after each cool-down.
   *
   * @param patienceMs how much longer than the cool-down this call leaves the trial to others, in milliseconds
   */
  admit(patienceMs?: number): Admission | null;
  /** Records success. Returns true if it closed the breaker. */
  succeeded(admission: Admission): boolean;
  /** Records failure. Returns true if it opened the breaker. */
  failed(admission: Admission): boolean;
  /** Records that a call ended without a result, so that another call can be the trial. */
  abandoned(admission: Admission): void;
  /** Milliseconds until the next trial; 0 while closed. While a trial is in flight, a whole cool-down. */
  retryAfterMs(): number;
}

/** How a call was admitted. Report its result with the same value. */
export type Admission = "call" | "trial";

/** Options of {@link createCircuitBreaker}. */
export interface CircuitBreakerOptions {
  /** How long no call but trials is admitted, in milliseconds. */
  readonly cooldownMs: number;
  /** Number of consecutive failures that open it. Default: 1. */
  readonly failureThreshold?: number;
}

/** Creates a closed {@link CircuitBreaker}. `monotonic` must never go back. */
export function createCircuitBreaker(
  clock: { /** Milliseconds. */ monotonic(): number },
  { cooldownMs, failureThreshold = 1 }: CircuitBreakerOptions,
): CircuitBreaker {
  let openedAtMs: number | null = null;
  let isOnTrial = false;
  let failures = 0;
  return {
    admit(patienceMs = 0) {
      if (openedAtMs === null) return "call";
      if (isOnTrial || clock.monotonic() - openedAtMs < cooldownMs + patienceMs) return null;
      isOnTrial = true;
      return "trial";
    },
    succeeded(admission) {
      if (openedAtMs !== null && admission === "call") return false;
      failures = 0;
      const hasClosed = openedAtMs !== null;
      openedAtMs = null;
      isOnTrial = false;
      return hasClosed;
    },
    failed(admission) {
      if (openedAtMs !== null) {
        if (admission === "call") return false;
        isOnTrial = false;
        openedAtMs = clock.monotonic();
        return false;
      }
      failures += 1;
      if (failures < failureThreshold) return false;
      openedAtMs = clock.monotonic();
      return true;
    },
    abandoned(admission) {
      if (admission === "trial") isOnTrial = false;
    },
    retryAfterMs() {
      if (openedAtMs === null) return 0;
      return isOnTrial ? cooldownMs : Math.max(0, openedAtMs + cooldownMs - clock.monotonic());
    },
  };
}
