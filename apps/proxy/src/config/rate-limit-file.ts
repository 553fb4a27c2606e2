import type { RateLimitDimension } from "../rate-limit/partition-key.ts";
import type { RateLimitFailureMode } from "../rate-limit/rate-limit-policy.ts";

/** What requests are limited by: the operations of the API, all of the administration as one, and failed authentication. */
export type LimitedRoute =
  | "listEnvironments"
  | "retrieveEnvironment"
  | "sendMessage"
  | "registerEnvironment"
  | "openDeviceSocket"
  | "administerKeys"
  | "failedAuthentication";

/** Every {@link LimitedRoute}. */
export const limitedRoutes: readonly LimitedRoute[] = [
  "listEnvironments",
  "retrieveEnvironment",
  "sendMessage",
  "registerEnvironment",
  "openDeviceSocket",
  "administerKeys",
  "failedAuthentication",
];

/** Every {@link RateLimitDimension}. */
export const rateLimitDimensions: readonly RateLimitDimension[] = ["key", "tenant", "address", "route", "device"];

/** Every {@link RateLimitFailureMode}. */
export const rateLimitFailureModes: readonly RateLimitFailureMode[] = ["local", "open", "closed"];

/** Where limits are counted. */
export type RateLimitStoreName = "memory" | "sqlite" | "valkey";

/** Every {@link RateLimitStoreName}. */
export const rateLimitStoreNames: readonly RateLimitStoreName[] = ["memory", "sqlite", "valkey"];

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
