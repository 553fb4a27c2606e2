import type { Principal } from "@letta-environments/schema";
import { describe, expect, test } from "vitest";
import { testJwtSettings } from "../../test/support/test-issuer.ts";
import { testDigests } from "../../test/support/test-proxy.ts";
import type { ClaimSettings, JwtSettings } from "./jwt-settings.ts";
import { principalOfClaims } from "./jwt-claims.ts";

function principalOf(
  claims: Readonly<Record<string, unknown>>,
  mapped: Partial<ClaimSettings> = {},
  settings: Partial<JwtSettings> = {},
): Principal | null {
  const all = { ...testJwtSettings, ...settings, claims: { ...testJwtSettings.claims, ...mapped } };
  return principalOfClaims({ sub: "user-1", org: "t1", ...claims }, all, testDigests);
}

test("claims are found by name, dots included, and by a path of names", () => {
  const claims = { "https://a.example/tenant": "t9", realm: { roles: ["list", "send"] }, profile: { name: "Robin" } };
  const paths = { tenant: "https://a.example/tenant", scopes: ["realm", "roles"], owner: ["profile", "name"] };
  expect(principalOf(claims, paths)).toMatchObject({
    tenant: "t9",
    owner: "Robin",
    scopes: new Set(["list", "send"]),
  });
});

test("a fixed tenant is every token's, whatever it claims", () => {
  expect(principalOf({ org: "t2" }, { tenant: null }, { tenant: "t1" })?.tenant).toBe("t1");
});

describe("scopes", () => {
  test("have their own names, but connect and admin are never taken from a token unmapped", () => {
    const scope = "list read send approve details connect admin openid";
    expect([...(principalOf({ scope })?.scopes ?? [])]).toEqual(["list", "read", "send", "approve", "details"]);
  });

  test("are given by a map and by nothing else where there is one", () => {
    const scopeMap = new Map([
      ["devices:use", ["list", "send"] as const],
      ["devices:enrol", ["connect"] as const],
    ]);
    const scope = "devices:use devices:enrol read constructor";
    expect(principalOf({ scope }, {}, { scopeMap })?.scopes).toEqual(new Set(["list", "send", "connect"]));
  });

  test("are none where the token has none", () => {
    expect(principalOf({})?.scopes).toEqual(new Set());
  });
});

describe("allowlists", () => {
  const mapped = { deviceIds: "devices", connectionNames: "names", agentIds: "agents", maxMode: "mode" };

  test("come from their claims", () => {
    const claims = { devices: ["d1", "d2"], names: "lab-* box", agents: ["a1"], mode: "acceptEdits" };
    expect(principalOf(claims, mapped)).toMatchObject({
      deviceIds: ["d1", "d2"],
      connectionNames: ["lab-*", "box"],
      agentIds: ["a1"],
      maxMode: "acceptEdits",
    });
  });

  test("that are mapped but not in the token allow nothing, and those that are not mapped everything", () => {
    expect(principalOf({}, mapped)).toMatchObject({
      deviceIds: [],
      connectionNames: [],
      agentIds: [],
      maxMode: "default",
    });
    expect(principalOf({ devices: ["d1"] })).toMatchObject({ deviceIds: null, agentIds: null, maxMode: null });
  });

  test.each([{ devices: 1 }, { devices: null }, { names: [1] }, { agents: {} }, { mode: 5 }, { mode: null }])(
    "of a wrong form (%j) make the token worthless",
    (claims) => {
      expect(principalOf(claims, mapped)).toBeNull();
    },
  );
});

test("claims are read from the token alone, not from what every object has", () => {
  expect(principalOf({}, { tenant: ["__proto__", "constructor", "name"] })).toBeNull();
  expect(principalOf({}, { owner: "toString" })).toBeNull();
});
