import type { RateLimitDemand } from "./rate-limit-policy.ts";

/**
 * A demand as one of several gateway processes decides it alone: a share of the limit and of the burst, at least one unit. A request
 * that costs more than the share of the burst, but not more than the whole, is charged the whole share.
 */
export function localShare({ policy, key, cost }: RateLimitDemand, instances: number): RateLimitDemand {
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
