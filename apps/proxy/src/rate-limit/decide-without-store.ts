import { localShare } from "./local-share.ts";
import { mostConstrained } from "./most-constrained.ts";
import type { RateLimitDemand } from "./rate-limit-policy.ts";
import type {
  LocalRateLimitStore,
  RateLimitDegradation,
  RateLimitOutcome,
  RateLimitTakeOptions,
  RateLimitVerdict,
} from "./rate-limit-store.ts";

/** With what demands are decided while the store is not heard. */
export interface DegradedMeans {
  readonly localStore: LocalRateLimitStore;
  /** Gateway processes that share the limits. */
  readonly instances: number;
  /** What a caller of a closed policy is told to wait, in milliseconds. */
  readonly closedRetryMs: number;
  readonly reason: RateLimitDegradation;
}

/**
 * Decides each demand by its policy's failure mode. Still all or nothing: when a closed policy refuses, nothing is charged on the
 * local ones.
 */
export function decideWithoutStore(
  demands: readonly RateLimitDemand[],
  options: RateLimitTakeOptions,
  { localStore, instances, closedRetryMs, reason }: DegradedMeans,
): RateLimitOutcome {
  const isClosed = demands.some(({ policy }) => policy.onStoreError === "closed" && policy.mode === "enforce");
  const shares = demands
    .filter(({ policy }) => policy.onStoreError === "local")
    .map((demand) => localShare(demand, instances));
  const local = localStore.take(shares, { ...options, probe: options.probe || isClosed });
  let nextLocal = 0;
  const verdicts = demands.map(({ policy }): RateLimitVerdict => {
    const mode = policy.onStoreError;
    const decided = mode === "local" ? local.verdicts[nextLocal++] : undefined;
    if (decided !== undefined) return { ...decided, degraded: "local" };
    const allowed = mode !== "closed";
    return { policy, allowed, remaining: null, resetMs: 0, retryAfterMs: allowed ? 0 : closedRetryMs, degraded: mode };
  });
  return {
    admitted: local.admitted && !isClosed,
    verdicts,
    constrained: mostConstrained(verdicts),
    degraded: reason,
  };
}
