import type { RateLimitCheck, RateLimitPolicy } from "../../src/rate-limit/policy.ts";

/** An enforced policy of ten requests a second with a burst of ten. */
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

/** A check of {@link testPolicy} that costs one unit. */
export function testCheck(changes: Partial<RateLimitPolicy> = {}, key = "somebody", cost = 1): RateLimitCheck {
  return { policy: testPolicy(changes), key, cost };
}
