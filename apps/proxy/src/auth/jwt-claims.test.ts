import { allowsScope, type Principal, scopes } from "@letta-environments/schema";
import { describe, expect, test } from "vitest";
import { testJwtSettings } from "../../test/support/test-issuer.ts";
import { testDigests } from "../../test/support/test-proxy.ts";
import type { ClaimSettings, JwtSettings } from "./jwt-settings.ts";
import { principalOfClaims } from "./jwt-claims.ts";
import { liftRestrictions, toShadowSettings } from "./shadow.ts";

function principalOf(
  claims: Readonly<Record<string, unknown>>,
  mapped: Partial<ClaimSettings> = {},
  settings: Partial<JwtSettings> = {},
): Principal | null {
  const all = { ...testJwtSettings, ...settings, claims: { ...testJwtSettings.claims, ...mapped } };
  const principal = principalOfClaims({ sub: "user-1", org: "t1", ...claims }, all, testDigests);
  return "invalidClaim" in principal ? null : principal;
}

test("a claim is found by its name, which may contain dots, or by a path of names", () => {
  const claims = { "https://a.example/tenant": "t9", realm: { roles: ["list", "send"] }, profile: { name: "Robin" } };
  const paths = { tenant: "https://a.example/tenant", scopes: ["realm", "roles"], owner: ["profile", "name"] };
  expect(principalOf(claims, paths)).toMatchObject({
    tenant: "t9",
    owner: "Robin",
    scopes: new Set(["list", "send"]),
  });
});

test("a claim that a token lacks is missing, even if every object inherits a member of its name", () => {
  expect(principalOf({}, { deviceIds: "constructor" })?.deviceIds).toEqual([]);
});

test("a fixed tenant applies to every token, even if a claim names another one", () => {
  expect(principalOf({ org: "t2" }, { tenant: null }, { tenant: "t1" })?.tenant).toBe("t1");
});

describe("scopes of tokens", () => {
  test("unmapped scopes of a token have their own names, but never grant connect and admin", () => {
    const scope = "list read send approve details connect admin openid";
    expect([...(principalOf({ scope })?.scopes ?? [])]).toEqual(["list", "read", "send", "approve", "details"]);
  });

  test("a scope that is not one of these five is never granted by its name, and neither is a new scope", () => {
    const byName: readonly string[] = ["list", "read", "send", "approve", "details"];
    const granted = scopes.filter((scope) => principalOf({ scope })?.scopes.has(scope));
    expect(granted.filter((scope) => !byName.includes(scope))).toEqual([]);
    expect(granted).toHaveLength(byName.length);
  });

  test("a scope map is the only source of scopes if there is one", () => {
    const scopeMap = new Map([
      ["devices:use", ["list", "send"] as const],
      ["devices:enrol", ["connect"] as const],
    ]);
    const scope = "devices:use devices:enrol read constructor";
    expect(principalOf({ scope }, {}, { scopeMap })?.scopes).toEqual(new Set(["list", "send", "connect"]));
  });

  describe("tokens that are limited to agents or modes", () => {
    const scopeMap = new Map([["ops", ["send", "view", "control", "files", "terminal", "manage"] as const]]);
    const limits: readonly (readonly [object, Partial<ClaimSettings>])[] = [
      [{ agents: ["agent-1"] }, { agentIds: "agents" }],
      [{ mode: "unrestricted" }, { maxMode: "mode" }],
      [{}, { agentIds: "agents" }],
    ];
    const usable = (principal: Principal | null) =>
      principal && scopes.filter((scope) => allowsScope(principal, scope));

    test("a token that is limited to agents or modes may use none of the scopes that reach everything on a device", () => {
      for (const [claims, mapped] of limits) {
        const limited = principalOf({ scope: "ops", ...claims }, mapped, { scopeMap });
        expect(usable(limited)).toEqual(["send", "view", "control"]);
      }
      const devices = principalOf({ scope: "ops", devices: ["d1"] }, { deviceIds: "devices" }, { scopeMap });
      expect(usable(devices)).toEqual(scopeMap.get("ops"));
    });

    test("a token may use the scopes that reach everything on a device while its limit is in shadow mode", () => {
      for (const [claims, mapped] of limits) {
        const limited = principalOf({ scope: "ops", ...claims }, mapped, { scopeMap });
        const lifted = limited && liftRestrictions(limited, toShadowSettings([limited.keyId]));
        expect(usable(lifted)).toEqual(scopeMap.get("ops"));
      }
    });
  });

  test("a token without scopes grants none", () => {
    expect(principalOf({})?.scopes).toEqual(new Set());
  });
});

describe("allowlists", () => {
  const mapped = {
    deviceIds: "devices",
    connectionNames: "names",
    deviceTags: "tags",
    agentIds: "agents",
    maxMode: "mode",
  };

  test("allowlists come from the mapped claims", () => {
    const claims = {
      devices: ["d1", "d2"],
      names: ["lab-*", "box"],
      tags: ["ci", "gpu"],
      agents: ["a1"],
      mode: "acceptEdits",
    };
    expect(principalOf(claims, mapped)).toMatchObject({
      deviceIds: ["d1", "d2"],
      connectionNames: ["lab-*", "box"],
      deviceTags: ["ci", "gpu"],
      agentIds: ["a1"],
      maxMode: "acceptEdits",
    });
  });

  test("a string claim is one allowlist entry, even with spaces, so that it never permits more than it says", () => {
    const claims = { devices: "d1", names: "Alice *", tags: "two words", agents: "" };
    expect(principalOf(claims, mapped)).toMatchObject({
      deviceIds: ["d1"],
      connectionNames: ["Alice *"],
      deviceTags: ["two words"],
      agentIds: [],
    });
  });

  test("a mapped allowlist that the token lacks permits nothing, and an unmapped one permits everything", () => {
    expect(principalOf({}, mapped)).toMatchObject({
      deviceIds: [],
      connectionNames: [],
      deviceTags: [],
      agentIds: [],
      maxMode: "standard",
    });
    expect(principalOf({ devices: ["d1"] })).toMatchObject({ deviceIds: null, agentIds: null, maxMode: null });
    expect(principalOf({ tags: ["ci"] })?.deviceTags ?? null).toBeNull();
  });

  test.each([
    { devices: 1 },
    { tags: 1 },
    { devices: null },
    { names: [1] },
    { agents: {} },
    { mode: 5 },
    { mode: null },
  ])("a token with a malformed allowlist (%j) is refused", (claims) => {
    expect(principalOf(claims, mapped)).toBeNull();
  });
});

test("claims are never read from inherited properties", () => {
  expect(principalOf({}, { tenant: ["__proto__", "constructor", "name"] })).toBeNull();
  expect(principalOf({}, { owner: "toString" })).toBeNull();
});
