/**
 * The port of rate-limit stores, and what they return. A store decides all checks of a request in one atomic step, so that
 * concurrent requests can never spend the same unit twice. Every adapter passes `test/rate-limit-store-contract.ts`.
 */
import type { RateLimitCheck, RateLimitFailureMode, RateLimitPolicy } from "./policy.ts";

/** The decision of one policy on a request. */
export interface RateLimitDecision {
  readonly policy: RateLimitPolicy;
  /** Whether this policy alone would allow the request, in shadow mode too. */
  readonly allowed: boolean;
  /** Units that remain after this request; `null` if the policy was decided without counting. */
  readonly remaining: number | null;
  /** Milliseconds until all units are regained; 0 for concurrent requests, whose end is unknown. */
  readonly resetMs: number;
  /** Milliseconds until the same request would be allowed: 0 if it is allowed now, `null` if it never will be. */
  readonly retryAfterMs: number | null;
  /** How the policy was decided without the store; `null` if the store decided. */
  readonly degraded: RateLimitFailureMode | null;
}

/** Why the store did not decide: it missed the deadline, it failed, or it was not called because it failed moments ago. */
export type RateLimitDegradation = "timeout" | "error" | "unavailable";

/** The decisions of all policies on a request. */
export interface RateLimitOutcome {
  /** False if an enforced policy refuses. In that case no policy is charged. */
  readonly admitted: boolean;
  /** One decision for each check, in the same order. */
  readonly decisions: readonly RateLimitDecision[];
  /** The enforced policy that limits the caller most, see `mostConstrained`; `null` if no policy is enforced. */
  readonly constrained: RateLimitDecision | null;
  readonly degraded: RateLimitDegradation | null;
}

/** Options of {@link RateLimitStore.take}. */
export interface RateLimitTakeOptions {
  /** Decides and reports what remains, but charges nothing. An arrival time more than one burst ahead is cut, as by a request. */
  readonly probe: boolean;
  /**
   * Names the leases of this request; required if a check counts concurrent requests. Taking a lease again does not count it
   * twice, but renews it.
   */
  readonly leaseId: string | null;
}

/** Counts requests. */
export interface RateLimitStore {
  /**
   * Decides all checks in one atomic step. If an enforced policy refuses, nothing is charged. A shadow policy that would refuse
   * is not charged and does not affect the others. A synchronous store returns synchronously. Throws or rejects if it cannot
   * decide.
   */
  take(checks: readonly RateLimitCheck[], options: RateLimitTakeOptions): RateLimitOutcome | Promise<RateLimitOutcome>;
  /** Releases the leases of a request. Unknown and expired leases are ignored. */
  release(leaseId: string, checks: readonly RateLimitCheck[]): void | Promise<void>;
}

/** A store that is always synchronous. */
export interface LocalRateLimitStore extends RateLimitStore {
  take(checks: readonly RateLimitCheck[], options: RateLimitTakeOptions): RateLimitOutcome;
  release(leaseId: string, checks: readonly RateLimitCheck[]): void;
}
