import type { RateLimitCheck, RateLimitFailureMode, RateLimitPolicy } from "./policy.ts";

/** What one policy says to a request. */
export interface RateLimitDecision {
  readonly policy: RateLimitPolicy;
  /** Whether this policy alone would let the request pass, in shadow too. */
  readonly allowed: boolean;
  /** Units that are left, after this request when it was charged; `null` when the store could not be asked. */
  readonly remaining: number | null;
  /** Milliseconds until everything is left again; 0 for concurrent requests, whose end nobody knows. */
  readonly resetMs: number;
  /** Milliseconds until the same request would be allowed: 0 when it is, `null` when it never will be. */
  readonly retryAfterMs: number | null;
  /** How it was decided without the store; `null` when the store decided. */
  readonly degraded: RateLimitFailureMode | null;
}

/** Why the store was not heard: no answer in time, a failure, or a failure moments ago. */
export type RateLimitDegradation = "timeout" | "error" | "unavailable";

/** What all policies of a request say together. */
export interface RateLimitOutcome {
  /** False when a policy that is enforced refuses; then nothing was charged on any policy. */
  readonly admitted: boolean;
  /** One for each check, in its order. */
  readonly decisions: readonly RateLimitDecision[];
  /** Among the enforced: that which refuses longest, else that with the smallest share left. `null` when none is enforced. */
  readonly constrained: RateLimitDecision | null;
  readonly degraded: RateLimitDegradation | null;
}

/** How checks are taken. */
export interface RateLimitTakeOptions {
  /** True: decide and tell what is left, but charge nothing. */
  readonly probe: boolean;
  /**
   * Names the leases of this request; needed where a check counts concurrent requests. A lease that is held already is not counted
   * twice: its time starts anew.
   */
  readonly leaseId: string | null;
}

/** Where limits are counted. Every adapter passes `test/rate-limit-store-contract.ts`. */
export interface RateLimitStore {
  /**
   * Decides all checks in one atomic step: when a policy that is enforced refuses, nothing is charged. A policy in shadow that would
   * refuse is not charged, and holds up nothing. A synchronous store answers synchronously. Throws or rejects when it cannot decide.
   */
  take(
    checks: readonly RateLimitCheck[],
    options: RateLimitTakeOptions,
  ): RateLimitOutcome | Promise<RateLimitOutcome>;
  /** Gives the leases of a request back. Unknown and expired ones are passed over. */
  release(leaseId: string, checks: readonly RateLimitCheck[]): void | Promise<void>;
}

/** A store that never waits. */
export interface LocalRateLimitStore extends RateLimitStore {
  take(checks: readonly RateLimitCheck[], options: RateLimitTakeOptions): RateLimitOutcome;
  release(leaseId: string, checks: readonly RateLimitCheck[]): void;
}
