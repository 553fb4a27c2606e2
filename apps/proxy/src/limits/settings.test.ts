import { expect, test } from "vitest";
import { resolveRateLimits } from "../config/resolve-rate-limits.ts";
import type { RateLimitsFile } from "../config/file.ts";
import { chooseShards } from "./settings.ts";
import { createChecks } from "../rate-limit/checks.ts";

function shardsOf(policies?: NonNullable<RateLimitsFile["policies"]>): Record<string, string | null | undefined> {
  const { settings, problems } = resolveRateLimits(policies === undefined ? {} : { policies }, false);
  expect(problems).toEqual([]);
  return Object.fromEntries(chooseShards(settings.limits).map(({ rule }) => [rule.policy.name, rule.shardBy]));
}

test("default limits are sharded by tenant, and those on failed authentication by address", () => {
  expect(shardsOf()).toEqual({
    "gateway-requests": "tenant",
    "gateway-sends": "tenant",
    "gateway-controls": "tenant",
    "gateway-commands": "tenant",
    "gateway-running-sends": "tenant",
    "gateway-waiting-reads": "tenant",
    "gateway-devices": "tenant",
    "gateway-failed-authentication": "address",
    "gateway-sign-ins": "tenant",
    "gateway-failed-sign-ins": "address",
  });
});

test("a limit that cannot be sharded keeps all limits that share routes with it, directly or indirectly, in one shard", () => {
  expect(
    shardsOf({
      byKey: { per: ["key"], limit: 1, routes: ["listEnvironments", "retrieveEnvironment"] },
      byRoute: { per: ["route"], limit: 1, routes: ["retrieveEnvironment"] },
      byTenant: { per: ["tenant"], limit: 1, routes: ["listEnvironments"] },
      apart: { per: ["address", "key"], limit: 1, routes: ["sendMessage"] },
      failed: { per: ["address"], limit: 1, routes: ["failedAuthentication"] },
    }),
  ).toEqual({ byKey: null, byRoute: null, byTenant: null, apart: "tenant", failed: "address" });
});

test("limits per address are sharded by address, but not together with limits per key", () => {
  expect(shardsOf({ a: { per: ["address"], limit: 1 } })).toEqual({ a: "address" });
  expect(shardsOf({ a: { per: ["address"], limit: 1 }, k: { per: ["key"], limit: 1 } })).toEqual({ a: null, k: null });
});

test("all checks of a request have the same shard", () => {
  const { settings } = resolveRateLimits({}, false);
  const rules = chooseShards(settings.limits).map(({ rule }) => rule);
  const values = { key: "k", tenant: "t", address: "192.0.2.1", route: "sendMessage", device: "d" };
  const checks = createChecks(rules.filter(({ dimensions }) => dimensions.includes("key")))(values);
  expect(new Set(checks.map(({ shard }) => shard))).toEqual(new Set(["t"]));
});
