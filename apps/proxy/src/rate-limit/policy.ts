/**
 * The configuration of rate limits: a policy is one limit, and a rule says which requests it counts and which of them share a
 * counter. A check is a policy applied to one request. All of these are plain data without behaviour.
 */

/**
 * The properties by which requests are counted separately. A new one needs its letter in `checks.ts`, its value in `limits/request-limits.ts` and, if a
 * failed authentication has no value in it, its place in `keyDimensions` of `config/resolve-rate-limits.ts`, which no type demands.
 */
export const rateLimitDimensions = ["key", "tenant", "address", "route", "device"] as const;

export type RateLimitDimension = (typeof rateLimitDimensions)[number];

/** The value of a request in every dimension. Requests without a value (`null`) share a separate counter. */
export type DimensionValues = Readonly<Record<RateLimitDimension, string | null>>;

/** How a policy is decided while the store is unavailable: by this process alone, by allowing everything, or by refusing everything. */
export const rateLimitFailureModes = ["local", "open", "closed"] as const;

export type RateLimitFailureMode = (typeof rateLimitFailureModes)[number];

/** One limit. */
export interface RateLimitPolicy {
  /** Printable ASCII, shown in headers and problems. Together with the partition key it identifies a counter. */
  readonly name: string;
  /** `requests` counts requests by their cost; `concurrent-requests` counts leases, which are released when a request ends. */
  readonly unit: "requests" | "concurrent-requests";
  /** Units that are regained per window; for concurrent requests, the largest number at the same time. */
  readonly limit: number;
  /** Length of the window in milliseconds; for concurrent requests, the time after which an unreleased lease expires. */
  readonly windowMs: number;
  /** Units that may be spent at once after a pause. Not used for concurrent requests. */
  readonly burst: number;
  /** `shadow` policies are decided and charged like enforced ones, but refuse no request. */
  readonly mode: "enforce" | "shadow";
  readonly onStoreError: RateLimitFailureMode;
}

/** A policy, and the requests that it applies to. Rules and policies live as long as the configuration. */
export interface RateLimitRule {
  readonly policy: RateLimitPolicy;
  /** Requests that differ in one of these dimensions are counted separately. */
  readonly dimensions: readonly RateLimitDimension[];
  /** Cost by route; a route that is not listed costs 1. */
  readonly costs: ReadonlyMap<string, number>;
  /** The dimension by which a sharded store chooses the shard; absent or `null`: all counters are in one shard. */
  readonly shardBy?: "tenant" | "address" | null;
  /** Requests with one of these values are exempt from the rule. */
  readonly exempt: readonly { readonly dimension: RateLimitDimension; readonly values: ReadonlySet<string> }[];
}

/** Policies that replace those of the rules for one key, by policy name; `null` exempts the key from the policy. */
export type PolicyOverrides = ReadonlyMap<string, RateLimitPolicy | null>;

/** One policy to check for one request. */
export interface RateLimitCheck {
  readonly policy: RateLimitPolicy;
  /** Partition key. The checks of a request never repeat a pair of policy name and key. */
  readonly key: string;
  /** Whole units, 0 or more. A concurrent request takes one lease, whatever its cost. */
  readonly cost: number;
  /** The shard of a sharded store, the same for all checks of a request; absent or `null`: the only one. */
  readonly shard?: string | null;
}

/** The longest time in which a burst may be regained, in microseconds (71 years), so that sums stay exact in float64. */
const maxBurstUs = 2 ** 51;

/**
 * Returns the rule that a policy breaks, such as `limit must be ...`, or `null` for a usable policy. The bounds keep every sum a
 * whole number below 2^53 microseconds, which JavaScript, SQLite and Lua compute identically.
 */
export function validateRateLimitPolicy(policy: RateLimitPolicy): string | null {
  if (!/^[\x20-\x7e]{1,64}$/.test(policy.name)) return "name must be 1 to 64 printable ASCII characters";
  for (const member of ["limit", "windowMs", "burst"] as const) {
    if (!Number.isSafeInteger(policy[member]) || policy[member] < 1) return `${member} must be a whole number from 1`;
  }
  if (policy.limit > policy.windowMs * 1_000) return "limit must be at most one unit a microsecond";
  if (Math.ceil((policy.windowMs * 1_000) / policy.limit) * policy.burst > maxBurstUs)
    return "burst must be regained within 71 years";
  return null;
}
