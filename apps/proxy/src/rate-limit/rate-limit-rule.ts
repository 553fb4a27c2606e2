import type { RateLimitDimension } from "./partition-key.ts";
import type { RateLimitPolicy } from "./rate-limit-policy.ts";

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
export type OwnPolicies = ReadonlyMap<string, RateLimitPolicy | null>;
