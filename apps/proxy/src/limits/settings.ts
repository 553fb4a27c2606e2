import type { TrustedProxies } from "./client-address.ts";
import type { RateLimitDimension } from "../rate-limit/partition-key.ts";
import type { RateLimitFailureMode } from "../rate-limit/policy.ts";
import type { RateLimitRule } from "../rate-limit/policy.ts";

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

/** A rule and the routes that fall under it. */
export interface RoutedRateLimit {
  readonly rule: RateLimitRule;
  readonly routes: ReadonlySet<LimitedRoute>;
}

/** Which limits there are, and how they are counted. */
export interface RateLimitSettings {
  readonly store: RateLimitStoreName;
  /** How long a request waits for the store, in milliseconds. */
  readonly deadlineMs: number;
  /** Gateway processes that share the limits. */
  readonly instances: number;
  readonly trustedProxies: TrustedProxies;
  /** Empty: there are no limits. */
  readonly limits: readonly RoutedRateLimit[];
}
