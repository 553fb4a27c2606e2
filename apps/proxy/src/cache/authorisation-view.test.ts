import { sha256Hex } from "@letta-environments/platform/node";
import type { Principal } from "@letta-environments/schema";
import { expect, test } from "vitest";
import { createTestPrincipal } from "../../test/support/create-test-principal.ts";
import { createAuthorisationView } from "./authorisation-view.ts";

const viewOf = createAuthorisationView(sha256Hex);

test("keys that are shown the same share a view, whatever else tells them apart", () => {
  const own = { deviceIds: ["a", "b"], connectionNames: ["x*"] };
  const same = { deviceIds: ["b", "a"], connectionNames: ["x*"], keyId: "other", owner: "other", maxMode: "standard" };
  expect(viewOf(createTestPrincipal(same))).toBe(viewOf(createTestPrincipal(own)));
});

test.each<Partial<Principal>>([
  { deviceIds: ["a"] },
  { deviceIds: [] },
  { connectionNames: ["a"] },
  { tenantDevices: { deviceIds: null, connectionNames: null } },
  { tenantDevices: { deviceIds: ["a"], connectionNames: null } },
  { tenantDevices: { deviceIds: null, connectionNames: ["a"] } },
  { tenantName: "Acme" },
  { scopes: new Set(["list", "read", "send", "details"]) },
])("a principal with %j has a view of its own", (difference) => {
  expect(viewOf(createTestPrincipal(difference))).not.toBe(viewOf(createTestPrincipal()));
});
