import { sha256Hex } from "@letta-environments/platform/node";
import type { Principal } from "@letta-environments/schema";
import { expect, test } from "vitest";
import { createTestPrincipal } from "../../test/support/create-test-principal.ts";
import { visibilityKeyOf } from "./environment-cache.ts";

const keyOf = (principal: Principal): string => visibilityKeyOf(principal, sha256Hex);

test("principals that see the same rows and members have the same visibility key", () => {
  const own = { deviceIds: ["a", "b"], connectionNames: ["x*"] };
  const same = { deviceIds: ["b", "a"], connectionNames: ["x*"], keyId: "other", owner: "other", maxMode: "standard" };
  expect(keyOf(createTestPrincipal(same))).toBe(keyOf(createTestPrincipal(own)));
});

test.each<Partial<Principal>>([
  { deviceIds: ["a"] },
  { deviceIds: [] },
  { connectionNames: ["a"] },
  { tenantDevices: { deviceIds: null, connectionNames: null } },
  { tenantDevices: { deviceIds: ["a"], connectionNames: null } },
  { tenantDevices: { deviceIds: null, connectionNames: ["a"] } },
  { deviceTags: ["a"] },
  { deviceTags: [] },
  { tenantName: "Acme" },
  { scopes: new Set(["list", "read", "send", "details"]) },
])("a principal with %j has a different visibility key", (difference) => {
  expect(keyOf(createTestPrincipal(difference))).not.toBe(keyOf(createTestPrincipal()));
});

test.each<Partial<Principal>>([{ agentIds: ["a"] }, { maxMode: "standard" }])(
  "principals that may decide on requests for permission do not share rows with request counts if one is limited to %j",
  (limit) => {
    const approving = { scopes: new Set(["list", "read", "approve"] as const) };
    expect(keyOf(createTestPrincipal({ ...approving, ...limit }))).not.toBe(keyOf(createTestPrincipal(approving)));
    expect(keyOf(createTestPrincipal(limit))).toBe(keyOf(createTestPrincipal()));
  },
);
