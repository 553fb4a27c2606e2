import type { RateLimitCheck, RateLimitPolicy } from "../../src/rate-limit/policy.ts";

/** A policy of ten requests a second, ten at once, that is enforced. */
export function testPolicy(changes: Partial<RateLimitPolicy> = {}): RateLimitPolicy {
  return {
    name: "test",
    unit: "requests",
    limit: 10,
    windowMs: 1_000,
    burst: 10,
    mode: "enforce",
    onStoreError: "local",
    ...changes,
  };
}

/** A check of one unit under {@link testPolicy}. */
export function testCheck(changes: Partial<RateLimitPolicy> = {}, key = "somebody", cost = 1): RateLimitCheck {
  return { policy: testPolicy(changes), key, cost };
}
