import type { RateLimitDimension } from "./partition-key.ts";

/** What happens to a policy while the store cannot be asked. */
export type RateLimitFailureMode = "local" | "open" | "closed";

/** One limit, as configured and resolved for a request; overrides of a key are already in it. */
export interface RateLimitPolicy {
  /** Shown in headers and problems; printable ASCII. With the key it names what is counted. */
  readonly name: string;
  /** `requests` are counted by their cost; `concurrent-requests` are leases that are given back. */
  readonly unit: "requests" | "concurrent-requests";
  /** Units that come back in a window; of concurrent requests, how many there may be at once. */
  readonly limit: number;
  /** Milliseconds; of concurrent requests, after which time a lease that nobody gave back has expired. */
  readonly windowMs: number;
  /** Units that may be spent at once after a rest; not used for concurrent requests. */
  readonly burst: number;
  /** A policy in `shadow` is decided and charged like any other, but refuses nothing. */
  readonly mode: "enforce" | "shadow";
  readonly onStoreError: RateLimitFailureMode;
}

/** A policy that a request falls under, and what the request asks of it. */
export interface RateLimitCheck {
  readonly policy: RateLimitPolicy;
  /** Partition key, from `partitionKey`. A request has each pair of policy name and key once. */
  readonly key: string;
  /** Whole units, 0 or more; a concurrent request is one lease whatever it costs. */
  readonly cost: number;
  /** Names the part of a divided store that counts it, the same for all checks of a request; absent or `null` for the only one. */
  readonly shard?: string | null;
}

/** Microseconds of debt that a policy may hold: 71 years, so that sums stay exact in float64. */
const largestBurstUs = 2 ** 51;

/**
 * What makes a policy unusable, as a rule such as `limit must be ...`; `null` when nothing does. The bounds keep every sum of the
 * arithmetic a whole number below 2^53 microseconds, which JavaScript, SQLite and Lua all compute alike.
 */
export function validateRateLimitPolicy(policy: RateLimitPolicy): string | null {
  if (!/^[\x20-\x7e]{1,64}$/.test(policy.name)) return "name must be 1 to 64 printable ASCII characters";
  for (const member of ["limit", "windowMs", "burst"] as const) {
    if (!Number.isSafeInteger(policy[member]) || policy[member] < 1) return `${member} must be a whole number from 1`;
  }
  if (policy.limit > policy.windowMs * 1_000) return "limit must be at most one unit a microsecond";
  if (Math.ceil((policy.windowMs * 1_000) / policy.limit) * policy.burst > largestBurstUs)
    return "burst must be regained within 71 years";
  return null;
}

/** A policy, and which requests fall under it. Rules and policies live as long as the configuration. */
export interface RateLimitRule {
  readonly policy: RateLimitPolicy;
  /** What is counted apart. */
  readonly dimensions: readonly RateLimitDimension[];
  /** Cost by route; a route that is not named costs 1. */
  readonly costs: ReadonlyMap<string, number>;
  /** By what a divided store divides its counts; absent or `null`: all of them are in one part. From `chooseShards`. */
  readonly shardBy?: "tenant" | "address" | null;
  /** Values of dimensions to which the rule does not apply. */
  readonly exempt: readonly { readonly dimension: RateLimitDimension; readonly values: ReadonlySet<string> }[];
}

/** Policies of a single key in the place of the rules' own, by their names; `null` frees it of the policy. */
export type PolicyOverrides = ReadonlyMap<string, RateLimitPolicy | null>;
