import type { TrustedProxies } from "../rate-limit/client-address.ts";
import type { RateLimitRule } from "../rate-limit/rate-limit-rule.ts";
import type { LimitedRoute, RateLimitStoreName } from "./rate-limit-file.ts";

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
