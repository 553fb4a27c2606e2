import type { RateLimitDimension } from "../rate-limit/partition-key.ts";
import type { RoutedRateLimit } from "./settings.ts";

/**
 * Divides limits for a store of many parts. Limits that can meet in one request, directly or through others, must be counted in the same part, or
 * they could not be decided in one step; and each count must lie in one part alone. So limits that meet are divided by the tenant where every one
 * of them tells tenants or keys apart (a key is of one tenant), by the address where every one tells addresses apart, and else not at all.
 */
export function chooseShards(limits: readonly RoutedRateLimit[]): readonly RoutedRateLimit[] {
  return limits.map((limit) => {
    const group = meetingLimits(limits, limit);
    const tells = (...dimensions: readonly RateLimitDimension[]): boolean =>
      group.every(({ rule }) => dimensions.some((dimension) => rule.dimensions.includes(dimension)));
    const shardBy = tells("tenant", "key") ? "tenant" : tells("address") ? "address" : null;
    return { ...limit, rule: { ...limit.rule, shardBy } };
  });
}

/** A limit with all that it shares a route with, and those with all that they do. */
function meetingLimits(limits: readonly RoutedRateLimit[], start: RoutedRateLimit): readonly RoutedRateLimit[] {
  const group = new Set([start]);
  // What is added while it runs is visited too.
  for (const { routes } of group) {
    for (const other of limits) if ([...other.routes].some((route) => routes.has(route))) group.add(other);
  }
  return [...group];
}
