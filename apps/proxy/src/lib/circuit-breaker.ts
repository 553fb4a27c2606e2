/**
 * A circuit breaker saves callers the wait for a service that fails. It opens after a number of consecutive failures. While open, it lets one call in
 * each cool-down through as a trial: success closes it, failure starts another cool-down. A trial without a result does not block the next one.
 *
 * Calls overlap, so results can arrive out of order. The failure of a call counts only if nothing changed since it was admitted: no earlier call
 * prolongs the cool-down, and none opens a breaker that has just closed. While open, only the success of a trial closes it.
 */
export interface CircuitBreaker {
  /**
   * Returns how to call the service; `null`: not now.
   *
   * @param extraCooldownMs how long after the cool-down this call leaves the trial to others, in milliseconds
   */
  admit(extraCooldownMs?: number): Admission | null;
  /** Returns for how long the breaker was open, in whole milliseconds, if that closed it; otherwise `null`. */
  recordSuccess(admission: Admission): number | null;
  /** Returns true if it opened the breaker. `null`: for a call that was not admitted. */
  recordFailure(admission: Admission | null): boolean;
  /** Records that a call ended without a result, so that another call can be the trial. */
  recordAbandoned(admission: Admission): void;
  /** Milliseconds until the next trial; `null` while closed. */
  retryAfterMs(): number | null;
}

/** The admission of a call. Report the result with it. */
export interface Admission {
  readonly isTrial: boolean;
  /** Number of changes of the breaker before the call. */
  readonly changes: number;
}

export interface CircuitBreakerOptions {
  /** How long only one trial is admitted, in milliseconds. */
  readonly cooldownMs: number;
  /** Number of consecutive failures that open it. Default: 1. */
  readonly failureThreshold?: number;
}

/** Creates a closed {@link CircuitBreaker}. `monotonic` must never go back. */
export function createCircuitBreaker(
  clock: { /** Milliseconds. */ monotonic(): number },
  { cooldownMs, failureThreshold = 1 }: CircuitBreakerOptions,
): CircuitBreaker {
  /** `null` while closed. */
  let nextTrialAtMs: number | null = null;
  let openSinceMs = 0;
  let failures = 0;
  let changes = 0;

  return {
    admit(extraCooldownMs = 0) {
      if (nextTrialAtMs === null) return { isTrial: false, changes };
      const nowMs = clock.monotonic();
      if (nowMs < nextTrialAtMs + extraCooldownMs) return null;
      nextTrialAtMs = nowMs + cooldownMs;
      changes += 1;
      return { isTrial: true, changes };
    },
    recordSuccess({ isTrial }) {
      if (nextTrialAtMs !== null && !isTrial) return null;
      failures = 0;
      if (nextTrialAtMs === null) return null;
      nextTrialAtMs = null;
      changes += 1;
      return Math.round(clock.monotonic() - openSinceMs);
    },
    recordFailure(admission) {
      const wasOpen = nextTrialAtMs !== null;
      if (admission === null ? wasOpen : admission.changes !== changes) return false;
      failures += 1;
      if (!wasOpen && failures < failureThreshold) return false;
      const nowMs = clock.monotonic();
      nextTrialAtMs = nowMs + cooldownMs;
      if (wasOpen) return false;
      openSinceMs = nowMs;
      changes += 1;
      return true;
    },
    recordAbandoned(admission) {
      if (admission.isTrial && nextTrialAtMs !== null && admission.changes === changes)
        nextTrialAtMs = clock.monotonic();
    },
    retryAfterMs: () => (nextTrialAtMs === null ? null : Math.max(0, nextTrialAtMs - clock.monotonic())),
  };
}
