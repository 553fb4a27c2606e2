import { mostConstrained } from "./decide.ts";
import type { RateLimitCheck } from "./policy.ts";
import type {
  LocalRateLimitStore,
  RateLimitDegradation,
  RateLimitOutcome,
  RateLimitTakeOptions,
  RateLimitDecision,
} from "./store.ts";

/** With what checks are decided while the store is not heard. */
export interface DegradedMeans {
  readonly localStore: LocalRateLimitStore;
  /** Gateway processes that share the limits. */
  readonly instances: number;
  /** What a caller of a closed policy is told to wait, in milliseconds. */
  readonly closedRetryMs: number;
  readonly reason: RateLimitDegradation;
}

/**
 * Decides each check by its policy's failure mode. Still all or nothing: when a closed policy refuses, nothing is charged on the
 * local ones.
 */
export function decideWithoutStore(
  checks: readonly RateLimitCheck[],
  options: RateLimitTakeOptions,
  { localStore, instances, closedRetryMs, reason }: DegradedMeans,
): RateLimitOutcome {
  const isClosed = checks.some(({ policy }) => policy.onStoreError === "closed" && policy.mode === "enforce");
  const shares = checks
    .filter(({ policy }) => policy.onStoreError === "local")
    .map((check) => localShare(check, instances));
  const local = localStore.take(shares, { ...options, probe: options.probe || isClosed });
  let nextLocal = 0;
  const decisions = checks.map(({ policy }): RateLimitDecision => {
    const mode = policy.onStoreError;
    const decided = mode === "local" ? local.decisions[nextLocal++] : undefined;
    if (decided !== undefined) return { ...decided, degraded: "local" };
    const allowed = mode !== "closed";
    return { policy, allowed, remaining: null, resetMs: 0, retryAfterMs: allowed ? 0 : closedRetryMs, degraded: mode };
  });
  return {
    admitted: local.admitted && !isClosed,
    decisions,
    constrained: mostConstrained(decisions),
    degraded: reason,
  };
}

/**
 * A check as one of several gateway processes decides it alone: a share of the limit and of the burst, at least one unit. A request
 * that costs more than the share of the burst, but not more than the whole, is charged the whole share.
 */
export function localShare({ policy, key, cost }: RateLimitCheck, instances: number): RateLimitCheck {
  if (instances === 1) return { policy, key, cost };
  if (policy.unit === "concurrent-requests") {
    return { policy: { ...policy, limit: Math.max(1, Math.floor(policy.limit / instances)) }, key, cost };
  }
  const burst = Math.max(1, Math.floor(policy.burst / instances));
  return {
    // The same limit over a longer window is the share, without a fraction of a unit.
    policy: { ...policy, windowMs: policy.windowMs * instances, burst },
    key,
    cost: cost <= policy.burst ? Math.min(cost, burst) : Math.max(cost, burst + 1),
  };
}
