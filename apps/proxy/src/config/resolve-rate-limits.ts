import type { Resolved, SettingProblem } from "../lib/setting-rules.ts";
import { groupAddress } from "../limits/client-address.ts";
import {
  countedRoutes,
  countsFailures,
  type LimitedRoute,
  limitedRoutes,
  type RateLimitSettings,
  type RoutedRateLimit,
} from "../limits/settings.ts";
import {
  type RateLimitDimension,
  type RateLimitPolicy,
  type RateLimitRule,
  validateRateLimitPolicy,
} from "../rate-limit/policy.ts";
import type { RateLimitPolicyFile, RateLimitsFile } from "./file.ts";

/** Resolves `rateLimits`: applies defaults and validates the rules that concern several members. */
export function resolveRateLimits(file: RateLimitsFile, hasValkey: boolean): Resolved<RateLimitSettings> {
  const problems: SettingProblem[] = [];
  const exempt = resolveExemptions(file, problems);
  const limits = Object.entries(file.policies ?? defaultRateLimits).map(([name, policyFile]) => {
    const limit = resolveLimit(name, policyFile, exempt);
    const rule = validateRateLimitPolicy(limit.rule.policy) ?? validateUse(policyFile, limit);
    if (rule !== null) problems.push({ setting: `rateLimits.policies.${name.slice(0, 64)}`, rule });
    return limit;
  });
  const store = file.store ?? (hasValkey ? "valkey" : "memory");
  if (store === "valkey" && !hasValkey) problems.push({ setting: "rateLimits.store", rule: "valkey needs VALKEY_URL" });
  const settings: RateLimitSettings = {
    store,
    deadlineMs: file.deadlineMs ?? 100,
    instances: file.instances ?? 1,
    trustedProxies: { trustedHops: file.trustedHops ?? 0, header: file.clientAddressHeader ?? "x-forwarded-for" },
    limits: file.enabled === false ? [] : limits,
  };
  return { settings, problems };
}

function resolveExemptions({ exempt = {} }: RateLimitsFile, problems: SettingProblem[]): RateLimitRule["exempt"] {
  const addresses = (exempt.addresses ?? []).map((text, index) => {
    const group = groupAddress(text);
    if (group === null) {
      problems.push({ setting: `rateLimits.exempt.addresses[${index}]`, rule: "must be an IPv4 or IPv6 address" });
    }
    return group ?? "";
  });
  const lists = [
    { dimension: "key", values: new Set(exempt.keyIds) },
    { dimension: "tenant", values: new Set(exempt.tenants) },
    { dimension: "address", values: new Set(addresses) },
  ] as const;
  return lists.filter(({ values }) => values.size > 0);
}

function resolveLimit(name: string, file: RateLimitPolicyFile, exempt: RateLimitRule["exempt"]): RoutedRateLimit {
  const { per, routes, costs = {}, ...measures } = file;
  const policy: RateLimitPolicy = { name, ...defaultMeasures, burst: measures.limit, ...measures };
  const usual = per.includes("device") ? deviceRoutes : limitedRoutes.filter((route) => !countsFailures(route));
  return {
    rule: {
      policy,
      dimensions: dimensionsOf(per),
      costs: costsOf(costs),
      exempt,
    },
    routes: new Set(routes ?? (policy.unit === concurrent ? usual.filter(holdsLease) : usual)),
  };
}

/** The dimensions of a policy. Tenants may have devices with the same id, and a key belongs to one tenant. */
function dimensionsOf(per: RateLimitPolicyFile["per"]): RateLimitRule["dimensions"] {
  const isOfDevices = per.includes("device") && !per.includes("key");
  return [...new Set<RateLimitDimension>(isOfDevices ? ["tenant", ...per] : per)];
}

/** The cost of each route: its own, or that of the route that it also counts as. */
function costsOf(costs: NonNullable<RateLimitPolicyFile["costs"]>): ReadonlyMap<LimitedRoute, number> {
  return new Map(
    limitedRoutes.flatMap((route) => {
      const cost = countedRoutes(route).map((counted) => costs[counted]);
      const first = cost.find((units) => units !== undefined);
      return first === undefined ? [] : [[route, first] as const];
    }),
  );
}

const defaultMeasures = { unit: "requests", windowMs: 60_000, mode: "enforce", onStoreError: "local" } as const;

const concurrent = "concurrent-requests";

/** Routes whose device is known before the body is read. */
const deviceRoutes: readonly LimitedRoute[] = [
  "retrieveEnvironment",
  "sendMessage",
  "controlDevice",
  "commandDevice",
  "updateEnvironment",
  "removeEnvironment",
];

const keyDimensions: ReadonlySet<string> = new Set(["key", "tenant", "device"]);

/**
 * Routes that hold no lease: the request of a socket or a stream ends when that begins, a command when it is passed on, and a failed
 * authentication immediately. So a limit on concurrent requests would limit nothing.
 */
const leaselessRoutes: readonly LimitedRoute[] = [
  ...(["openDeviceSocket", "streamEvents", "commandDevice"] as const),
  ...limitedRoutes.filter(countsFailures),
];

function holdsLease(route: LimitedRoute): boolean {
  return !leaselessRoutes.includes(route);
}

/** Validates that a policy suits its routes: a failed authentication has no key, and a list or a registration names no device. */
function validateUse(file: RateLimitPolicyFile, { rule, routes }: RoutedRateLimit): string | null {
  const { dimensions, policy } = rule;
  const isByAddress = dimensions.includes("address") && !dimensions.some((dimension) => keyDimensions.has(dimension));
  const failures = [...routes].find(countsFailures);
  if (failures !== undefined && !isByAddress) {
    return `with route ${failures} must be per address: a failed authentication has no key`;
  }
  const withoutDevice = [...routes].find((route) => !deviceRoutes.includes(route));
  if (dimensions.includes("device") && withoutDevice !== undefined) {
    return `with route ${withoutDevice} cannot be per device: it would count all devices as one`;
  }
  for (const route of limitedRoutes) {
    const cost = file.costs?.[route];
    if (cost === undefined) continue;
    if (!countedRoutes(route).some((counted) => routes.has(counted)))
      return `has costs.${route} but does not apply to that route`;
    if (cost > policy.burst)
      return `costs.${route} must be at most the burst (${policy.burst}): such a request would never pass`;
  }
  if (policy.unit !== concurrent) return null;
  if (file.burst !== undefined || file.costs !== undefined)
    return `with unit ${concurrent} must have no burst or costs`;
  const leaseless = [...routes].find((route) => !holdsLease(route));
  if (leaseless === undefined) return null;
  return `with unit ${concurrent} cannot have route ${leaseless}: it would limit nothing, because sockets, streams and commands are not requests in progress`;
}

/**
 * The leases of requests that wait for a turn last longer than any of them, in milliseconds: a minute, and the default of
 * `upstream.timeoutMs`.
 */
const maxWaitMs = 120_000;

/** At most a hundred concurrent requests per key. */
const hundredAtOnce = {
  per: ["key"],
  unit: "concurrent-requests",
  limit: 100,
  windowMs: maxWaitMs,
} satisfies Partial<RateLimitPolicyFile>;

/**
 * The default limits, per minute where no window is named. A person with a script never reaches them; an endless loop does within a
 * second. Devices that share one key may all reconnect at the same time after a restart of the gateway.
 */
const defaultRateLimits: Readonly<Record<string, RateLimitPolicyFile>> = {
  "gateway-requests": {
    per: ["key"],
    limit: 6_000,
    burst: 1_000,
    routes: [
      "listEnvironments",
      "retrieveEnvironment",
      "sendMessage",
      "listMessages",
      "retrieveMessage",
      "controlDevice",
      "commandDevice",
      "updateEnvironment",
      "removeEnvironment",
      "retrieveLastRuntime",
      "listApprovals",
      "streamEvents",
      "administerKeys",
    ],
  },
  "gateway-sends": { per: ["key", "device"], limit: 600, burst: 300, routes: ["sendMessage"] },
  "gateway-controls": { per: ["key", "device"], limit: 120, burst: 60, routes: ["controlDevice"] },
  // A terminal sends each key that is pressed.
  "gateway-commands": { per: ["key", "device"], limit: 3_000, burst: 600, routes: ["commandDevice"] },
  "gateway-running-sends": { ...hundredAtOnce, routes: ["sendMessage", "controlDevice"] },
  "gateway-waiting-reads": { ...hundredAtOnce, routes: ["awaitMessage"] },
  "gateway-devices": { per: ["key"], limit: 2_400, routes: ["registerEnvironment", "openDeviceSocket"] },
  "gateway-failed-authentication": { per: ["address"], limit: 60, routes: ["failedAuthentication"] },
  // A key has ten sessions at most. People sign in once a day, and type a key wrong twice.
  "gateway-sign-ins": { per: ["key"], limit: 10, routes: ["signIn"] },
  "gateway-failed-sign-ins": { per: ["address"], limit: 10, routes: ["failedSignIn"] },
};
