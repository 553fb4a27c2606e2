import type { RateLimitStoreName } from "../limits/settings.ts";
import type { LimitedRoute } from "../limits/settings.ts";
import type { RateLimitDimension } from "../rate-limit/partition-key.ts";
import type { RateLimitFailureMode } from "../rate-limit/rate-limit-policy.ts";

/** A policy of `rateLimits.policies`. */
export interface RateLimitPolicyFile {
  per: RateLimitDimension[];
  limit: number;
  windowMs?: number;
  burst?: number;
  unit?: "requests" | "concurrent-requests";
  routes?: LimitedRoute[];
  costs?: Partial<Record<LimitedRoute, number>>;
  mode?: "enforce" | "shadow";
  onStoreError?: RateLimitFailureMode;
}

/** `rateLimits` of the file. */
export interface RateLimitsFile {
  enabled?: boolean;
  store?: RateLimitStoreName;
  deadlineMs?: number;
  instances?: number;
  trustedHops?: number;
  clientAddressHeader?: "x-forwarded-for" | "forwarded";
  policies?: Record<string, RateLimitPolicyFile>;
  exempt?: { keyIds?: string[]; tenants?: string[]; addresses?: string[] };
}
