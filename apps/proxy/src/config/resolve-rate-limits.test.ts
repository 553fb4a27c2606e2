import { expect, test } from "vitest";
import type { RateLimitPolicyFile, RateLimitsFile } from "./file.ts";
import { resolveRateLimits } from "./resolve-rate-limits.ts";

function problemsOf(file: RateLimitsFile, hasValkey = false): string[] {
  return resolveRateLimits(file, hasValkey).problems.map(({ setting, rule }) => `${setting} ${rule}`);
}

function withPolicy(policy: Partial<RateLimitPolicyFile>): RateLimitsFile {
  return { policies: { mine: { per: ["key"], limit: 10, ...policy } } };
}

test("the default limits count callers, sends, devices and failures in memory", () => {
  const { settings, problems } = resolveRateLimits({}, false);
  expect(problems).toEqual([]);
  expect(settings).toMatchObject({
    store: "memory",
    deadlineMs: 100,
    instances: 1,
    trustedProxies: { trustedHops: 0 },
  });
  expect(settings.limits.map(({ rule }) => rule.policy.name)).toEqual([
    "gateway-requests",
    "gateway-sends",
    "gateway-controls",
    "gateway-commands",
    "gateway-running-sends",
    "gateway-waiting-reads",
    "gateway-devices",
    "gateway-failed-authentication",
    "gateway-sign-ins",
    "gateway-failed-sign-ins",
  ]);
});

test("the defaults of a policy are a minute, a burst of its whole limit, every operation, and enforcement", () => {
  const [limit] = resolveRateLimits(withPolicy({}), false).settings.limits;
  expect(limit?.rule.policy).toEqual({
    name: "mine",
    unit: "requests",
    limit: 10,
    windowMs: 60_000,
    burst: 10,
    mode: "enforce",
    onStoreError: "local",
  });
  expect(limit?.routes.has("failedAuthentication")).toBe(false);
  expect(limit?.routes.has("openDeviceSocket")).toBe(true);
});

test("a policy by device applies to operations on a device", () => {
  const [limit] = resolveRateLimits(withPolicy({ per: ["device"] }), false).settings.limits;
  expect([...(limit?.routes ?? [])]).toEqual([
    "retrieveEnvironment",
    "sendMessage",
    "controlDevice",
    "commandDevice",
    "updateEnvironment",
    "removeEnvironment",
  ]);
});

test("disabled limits have no effect, and their errors are still reported", () => {
  expect(resolveRateLimits({ enabled: false }, false).settings.limits).toEqual([]);
  expect(problemsOf({ enabled: false, ...withPolicy({ limit: 10, windowMs: 1, burst: 2 ** 52 }) })).toHaveLength(1);
});

test("limits are counted in Valkey if one is configured, and cannot be set to Valkey otherwise", () => {
  expect(resolveRateLimits({}, true).settings.store).toBe("valkey");
  expect(resolveRateLimits({ store: "sqlite" }, true).settings.store).toBe("sqlite");
  expect(problemsOf({ store: "valkey" })).toEqual(["rateLimits.store valkey needs VALKEY_URL"]);
});

test.each<[string, Partial<RateLimitPolicyFile>, string]>([
  ["failures by key", { routes: ["failedAuthentication"] }, "must be per address"],
  ["failures of everybody together", { per: ["route"], routes: ["failedAuthentication"] }, "must be per address"],
  ["failed sign-ins by key", { routes: ["failedSignIn"] }, "failedSignIn must be per address"],
  ["lists by device", { per: ["key", "device"], routes: ["sendMessage", "listEnvironments"] }, "listEnvironments"],
  ["costs of another route", { routes: ["listEnvironments"], costs: { sendMessage: 2 } }, "does not apply"],
  ["costs that never pass", { burst: 5, costs: { sendMessage: 6 } }, "costs.sendMessage must be at most the burst (5)"],
  ["running requests with a burst", { unit: "concurrent-requests", burst: 2 }, "no burst"],
  [
    "running sockets",
    { unit: "concurrent-requests", routes: ["openDeviceSocket"] },
    "cannot have route openDeviceSocket",
  ],
  ["running streams", { unit: "concurrent-requests", routes: ["sendMessage", "streamEvents"] }, "route streamEvents"],
  ["running commands", { unit: "concurrent-requests", routes: ["commandDevice"] }, "route commandDevice"],
  ["more than a unit a microsecond", { limit: 2_000, windowMs: 1 }, "one unit a microsecond"],
])("%s are refused", (_name, policy, rule) => {
  expect(problemsOf(withPolicy(policy))).toEqual([expect.stringContaining(rule)]);
});

test.each<[string, Partial<RateLimitPolicyFile>]>([
  ["awaitMessage", { routes: ["retrieveMessage"], costs: { awaitMessage: 2 } }],
  ["signIn", { routes: ["administerKeys"], costs: { signIn: 2 } }],
  ["failedSignIn", { per: ["address"], routes: ["failedAuthentication"], costs: { failedSignIn: 2 } }],
])("a policy of the other route that also counts %s can name its cost", (route, policy) => {
  expect(problemsOf(withPolicy(policy))).toEqual([]);
  const [limit] = resolveRateLimits(withPolicy(policy), false).settings.limits;
  expect(limit?.rule.costs).toEqual(new Map([[route, 2]]));
});

test("a policy name that is not valid in a header and an invalid address are refused", () => {
  expect(problemsOf({ policies: { naïve: { per: ["key"], limit: 1 } } })).toEqual([
    expect.stringContaining("printable ASCII"),
  ]);
  expect(problemsOf({ exempt: { addresses: ["192.0.2.1", "10.0.0.0/8", "nowhere", "2001:db8::1"] } })).toEqual([
    "rateLimits.exempt.addresses[1] must be an IPv4 or IPv6 address",
    "rateLimits.exempt.addresses[2] must be an IPv4 or IPv6 address",
  ]);
});
