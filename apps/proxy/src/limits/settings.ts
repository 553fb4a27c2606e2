/** The settings of rate limits: the routes that they count, the rules, where counters are stored, and how a sharded store divides them. */
import type { Operation, RetrieveMessageQuery } from "@letta-environments/schema";
import type { RateLimitDimension, RateLimitRule } from "../rate-limit/policy.ts";
import type { KeyPolicy } from "../keys/key-rate-limit.ts";
import type { TrustedProxies } from "./client-address.ts";

/**
 * The routes that limits can apply to. Most are operations of the API. `awaitMessage` is `retrieveMessage` with a wait, `controlDevice` every
 * control operation, `commandDevice` everything else that viewers send, `administerKeys` the administration and the sessions of the console, and
 * `signIn` signing in there. `failedAuthentication` and `failedSignIn` count failures.
 */
export const limitedRoutes = [
  "listEnvironments",
  "retrieveEnvironment",
  "sendMessage",
  "listMessages",
  "retrieveMessage",
  "awaitMessage",
  "updateEnvironment",
  "removeEnvironment",
  "retrieveLastRuntime",
  "listApprovals",
  "streamEvents",
  "registerEnvironment",
  "openDeviceSocket",
  "controlDevice",
  "commandDevice",
  "administerKeys",
  "signIn",
  "failedAuthentication",
  "failedSignIn",
] as const;

/** One of the {@link limitedRoutes}. */
export type LimitedRoute = (typeof limitedRoutes)[number];

/** Whether a route counts failures. A failure has no key, so its policies are per address. */
export function countsFailures(route: LimitedRoute): boolean {
  return route === "failedAuthentication" || route === "failedSignIn";
}

/**
 * Returns the routes whose policies count a request of a route. A wait for a message also counts as retrieving it, a sign-in as
 * administration of a key, and a failed sign-in as failed authentication.
 */
export function countedRoutes(route: LimitedRoute): readonly LimitedRoute[] {
  if (route === "awaitMessage") return [route, "retrieveMessage"];
  if (route === "signIn") return [route, "administerKeys"];
  return route === "failedSignIn" ? [route, "failedAuthentication"] : [route];
}

const waitParameter = "wait" satisfies keyof RetrieveMessageQuery;

/** Returns the route of an operation with a query that is not validated yet. */
export function routeOf(operation: Operation, query: string): LimitedRoute {
  switch (operation) {
    case "retrieveMessage":
      return query !== "" && new URLSearchParams(query).has(waitParameter) ? "awaitMessage" : operation;
    case "stopTurn":
    case "changeMode":
    case "changeDirectory":
    case "resumeQueue":
    case "removeQueueItem":
      return "controlDevice";
    case "openViewerSocket":
    case "createViewerTicket":
      return "commandDevice";
    default:
      return operation;
  }
}

/** Where counters can be stored. */
export const rateLimitStoreNames = ["memory", "sqlite", "valkey"] as const;

/** One of the {@link rateLimitStoreNames}. */
export type RateLimitStoreName = (typeof rateLimitStoreNames)[number];

/** A rule and the routes that it applies to. */
export interface RoutedRateLimit {
  readonly rule: RateLimitRule;
  readonly routes: ReadonlySet<LimitedRoute>;
}

/** Settings of all rate limits. */
export interface RateLimitSettings {
  readonly store: RateLimitStoreName;
  /** How long a request waits for the store, in milliseconds. */
  readonly deadlineMs: number;
  /** Number of gateway processes that share the limits. */
  readonly instances: number;
  readonly trustedProxies: TrustedProxies;
  /** Empty: nothing is limited. */
  readonly limits: readonly RoutedRateLimit[];
}

/** The policies, with those that count only failures marked: failures have no key. */
export function keyPolicies(limits: readonly RoutedRateLimit[]): readonly KeyPolicy[] {
  return limits.map(({ rule, routes }) => ({ ...rule.policy, countsOnlyFailures: [...routes].every(countsFailures) }));
}

/** The names of the policies that a key can override. `null` where limits are off: any name is accepted. */
export function overridablePolicies(limits: readonly RoutedRateLimit[]): readonly string[] | null {
  if (limits.length === 0) return null;
  return keyPolicies(limits).flatMap(({ name, countsOnlyFailures }) => (countsOnlyFailures ? [] : [name]));
}

/**
 * Returns the limits with the dimension by which each is sharded. Limits that can apply to the same request, directly or through
 * other limits, must use the same shard so that they can be decided in one step, and each counter must be in only one shard. So a
 * group of such limits is sharded by tenant if each of them is per tenant or per key (a key belongs to one tenant), by address if
 * each is per address, and otherwise not at all.
 */
export function chooseShards(limits: readonly RoutedRateLimit[]): readonly RoutedRateLimit[] {
  return limits.map((limit) => {
    const group = connectedLimits(limits, limit);
    const allArePer = (...dimensions: readonly RateLimitDimension[]): boolean =>
      group.every(({ rule }) => dimensions.some((dimension) => rule.dimensions.includes(dimension)));
    const shardBy = allArePer("tenant", "key") ? "tenant" : allArePer("address") ? "address" : null;
    return { ...limit, rule: { ...limit.rule, shardBy } };
  });
}

/** Returns a limit, the limits that share a route with it, and so on. */
function connectedLimits(limits: readonly RoutedRateLimit[], start: RoutedRateLimit): readonly RoutedRateLimit[] {
  const group = new Set([start]);
  // The loop also visits limits that are added while it runs.
  for (const { routes } of group) {
    for (const other of limits) if ([...other.routes].some((route) => routes.has(route))) group.add(other);
  }
  return [...group];
}
