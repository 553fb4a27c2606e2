import { matchesNamePattern } from "@letta-environments/schema";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { createTestKeyRecord } from "../../test/support/create-test-key-record.ts";
import type { KeyRecord } from "../keys/key-record.ts";
import { liftRestrictions, toShadowSettings } from "../auth/shadow.ts";
import { grantIssues, type GrantRules, type KeyGrants } from "./grants.ts";

function membersBeyond(
  own: Partial<KeyRecord>,
  grants: Partial<KeyGrants>,
  endsAt: number | null = null,
  rules = enforced,
): string[] {
  const record = createTestKeyRecord({ scopes: ["admin"], ...own });
  return grantIssues({ kind: "key", record, endsAt, isReplaced: false }, createTestKeyRecord(grants), null, rules).map(
    ({ member }) => member,
  );
}

const enforced: GrantRules = { policies: [], configure: (own) => own };

describe("grantIssues", () => {
  test("grantIssues names every member that exceeds the rights of the administering key", () => {
    const own = { deviceIds: ["a"], agentIds: ["a"], maxMode: "standard", expiresAt: 5 };
    expect(membersBeyond(own, { tenant: "other" }, 5)).toEqual([
      "tenant",
      "deviceIds",
      "agentIds",
      "maxMode",
      "expiresAt",
    ]);
  });

  test.each([
    [{ deviceIds: ["a"], connectionNames: ["ci-*"] }, { deviceIds: ["a"] }, []],
    [{ deviceIds: ["a"], connectionNames: ["ci-*"] }, { connectionNames: ["ci-1*"] }, []],
    [{ deviceIds: ["a"], connectionNames: ["ci-*"] }, { deviceIds: ["ci-1"] }, ["deviceIds"]],
    [{ deviceIds: ["a"] }, { connectionNames: ["a"] }, ["connectionNames"]],
    [{ connectionNames: ["*"] }, { deviceIds: ["a"] }, ["deviceIds"]],
    [{ connectionNames: ["a*b"] }, { connectionNames: ["a*"] }, ["connectionNames"]],
    [{ deviceIds: [] }, { deviceIds: [] }, []],
    [{ maxMode: "standard" }, { maxMode: "default" }, []],
    [{ maxMode: "unrestricted" }, { maxMode: "bypassPermissions" }, []],
    [{ maxMode: "acceptEdits" }, { maxMode: "newer" }, ["maxMode"]],
    [{ maxMode: "newer" }, { maxMode: "standard" }, ["maxMode"]],
  ])("grantIssues allows a key of %j to grant %j, except %j", (own, grants, members) => {
    expect(membersBeyond(own, grants)).toEqual(members);
  });

  test.each([
    [{ deniedTools: ["Bash"] }, {}, ["deniedTools"]],
    [{ deniedTools: ["Bash", "Web*"] }, { deniedTools: ["Bash"] }, ["deniedTools"]],
    [{ deniedTools: ["Bash"] }, { deniedTools: ["Write", "Bash"] }, []],
    [{ approvalDeadlineMs: 60_000 }, {}, ["approvalDeadlineMs"]],
    [{ approvalDeadlineMs: 60_000 }, { approvalDeadlineMs: 60_001 }, ["approvalDeadlineMs"]],
    [{ approvalDeadlineMs: 60_000 }, { approvalDeadlineMs: 60_000 }, []],
    [{ setMode: "standard" }, {}, ["setMode"]],
    [{ setMode: "standard" }, { setMode: "unrestricted" }, ["setMode"]],
    [{ setMode: "standard" }, { setMode: "standard" }, []],
    [{ setMode: "standard" }, { setMode: "default" }, []],
    [{ deniedTools: ["Bash"] }, { deniedTools: ["Bash"], setMode: "unrestricted" }, ["setMode"]],
    [{ deniedTools: ["Bash"] }, { deniedTools: ["Bash"], setMode: "acceptEdits", maxMode: "unrestricted" }, []],
    [{ deniedTools: ["Write"] }, { deniedTools: ["Write"], setMode: "acceptEdits" }, ["setMode"]],
    [{ setMode: "standard" }, { setMode: "standard", maxMode: "standard" }, []],
    [{ setMode: "standard" }, { setMode: "standard", maxMode: "unrestricted" }, ["maxMode"]],
    [{ setMode: "standard", maxMode: "acceptEdits" }, { setMode: "standard", maxMode: "acceptEdits" }, []],
    [{ setMode: "standard", maxMode: "acceptEdits" }, { setMode: "standard" }, ["maxMode"]],
    [{}, { deniedTools: ["Bash"], approvalDeadlineMs: 1_000, setMode: "standard" }, []],
  ])("a key of %j cannot exempt any key from its own policy: granting %j exceeds %j", (own, grants, members) => {
    expect(membersBeyond(own, grants)).toEqual(members);
  });

  describe("the maximum mode in shadow mode", () => {
    const both = { setMode: "standard", maxMode: "acceptEdits" };
    const beyondIn = (keyId: string, own: Partial<KeyRecord>, grants: Partial<KeyGrants>): string[] =>
      membersBeyond({ ...own, id: "own" }, { ...grants, id: "granted" }, null, {
        policies: [],
        configure: (caller) => liftRestrictions(caller, toShadowSettings([keyId])),
      });

    test("a maximum in shadow mode neither reduces nor extends what an administering key that also sets a mode may grant", () => {
      expect(beyondIn("own", both, both)).toEqual([]);
      expect(beyondIn("own", both, { ...both, maxMode: "standard" })).toEqual([]);
      expect(beyondIn("own", both, { ...both, maxMode: "unrestricted" })).toEqual(["maxMode"]);
      expect(beyondIn("own", { setMode: "standard" }, both)).toEqual(["maxMode"]);
    });

    test("a key with a maximum in shadow mode has more rights than one that sets a mode, and than one without a maximum", () => {
      expect(beyondIn("granted", both, both)).toEqual(["maxMode"]);
      const lowest = { setMode: "standard", maxMode: "standard" };
      expect(beyondIn("granted", { setMode: "standard" }, lowest)).toEqual(["maxMode"]);
      expect(beyondIn("granted", { setMode: "standard" }, { setMode: "standard" })).toEqual([]);
    });
  });

  test("grantIssues refuses new policy overrides, and accepts those that the key had before", () => {
    const record = createTestKeyRecord({ scopes: ["admin"] });
    const authority = { kind: "key", record, endsAt: null, isReplaced: false } as const;
    const limited = createTestKeyRecord({ rateLimits: { daily: "none" } });
    const membersOf = (before: KeyRecord | null): string[] =>
      grantIssues(authority, limited, before, enforced).map(({ member }) => member);
    expect([membersOf(null), membersOf(createTestKeyRecord()), membersOf(limited)]).toEqual([
      ["rateLimits"],
      ["rateLimits"],
      [],
    ]);
    expect(grantIssues({ kind: "operator" }, limited, null, enforced)).toEqual([]);
  });

  test.each([
    [{ daily: "10/1d" }, { daily: "10/1d", burst: "1/1s" }, []],
    [{ daily: "10/1d" }, null, ["rateLimits"]],
    [{ daily: "10/1d" }, { burst: "1/1s" }, ["rateLimits"]],
    [{ daily: "10/1d" }, { daily: "none" }, ["rateLimits"]],
    [{ daily: "10/1d" }, { daily: "11/1d" }, ["rateLimits"]],
    [{ daily: "10/1d" }, { daily: "5/1d" }, []],
    [{ daily: "10/1d" }, { daily: "10/1d/11" }, ["rateLimits"]],
    [{ daily: "10/1m" }, { daily: "10/1d" }, []],
    [{ daily: "none" }, null, []],
    [{ daily: "none" }, { daily: "5/1d" }, []],
    [null, { daily: "none" }, []],
  ])("a key with the limits %j cannot use a key with the limits %j without exceeding %j", (own, limits, members) => {
    const record = createTestKeyRecord({ scopes: ["admin"], rateLimits: own });
    const grants = createTestKeyRecord({ rateLimits: limits });
    const issues = grantIssues({ kind: "key", record, endsAt: null, isReplaced: false }, grants, grants, enforced);
    expect(issues.map(({ member }) => member)).toEqual(members);
  });

  test("grantIssues limits the expiry to that of the presented secret, even when the administering key does not expire", () => {
    expect(membersBeyond({ expiresAt: null }, { expiresAt: 6 }, 5)).toEqual(["expiresAt"]);
    expect(membersBeyond({ expiresAt: null }, { expiresAt: 5 }, 5)).toEqual([]);
  });

  test("grantIssues allows the operator everything", () => {
    expect(
      grantIssues({ kind: "operator" }, createTestKeyRecord({ tenant: "any", scopes: ["admin"] }), null, enforced),
    ).toEqual([]);
  });

  test("grantIssues refuses a pattern that matches a name which the administering key's patterns do not match", () => {
    const part = fc.constantFrom("a", "b", "*", "**", "ab");
    const text = fc.array(part, { maxLength: 6 }).map((parts) => parts.join(""));
    let covered = 0;
    fc.assert(
      fc.property(
        text,
        text,
        fc.string({ unit: fc.constantFrom("a", "b", "*"), maxLength: 6 }),
        (wide, narrow, name) => {
          const issues = membersBeyond({ connectionNames: [wide] }, { connectionNames: [narrow] });
          if (issues.length > 0 || !matchesNamePattern(narrow, name)) return;
          covered += 1;
          expect(matchesNamePattern(wide, name)).toBe(true);
        },
      ),
      { numRuns: 5_000 },
    );
    expect(covered).toBeGreaterThan(20);
  });
});
