import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  allowsAgent,
  allowsDevice,
  allowsMode,
  ceilingModes,
  matchesNamePattern,
  presentEnvironment,
} from "./access.ts";
import type { Environment } from "./environment.ts";
import { scopes } from "./principal.ts";

const fewLetters = fc.string({ unit: fc.constantFrom("a", "b", "*", ".", "[", "\\"), maxLength: 12 });

/** The same rule by a regular expression, which is short but has no bound on its time. */
function matchesByRegExp(pattern: string, name: string): boolean {
  const source = pattern
    .split("*")
    .map((literal) => literal.replace(/[.[\\]/g, String.raw`\$&`))
    .join("[^]*");
  return new RegExp(`^${source}$`).test(name);
}

describe("a pattern of names", () => {
  test("matches what the same regular expression matches", () => {
    fc.assert(
      fc.property(fewLetters, fewLetters, (pattern, name) => {
        expect(matchesNamePattern(pattern, name)).toBe(matchesByRegExp(pattern, name));
      }),
      { numRuns: 5_000 },
    );
  });

  test("matches every name that is made from it by putting any text for each star", () => {
    fc.assert(
      fc.property(
        fc.array(fc.string({ unit: "binary" }), { minLength: 1 }),
        fc.string({ unit: "binary" }),
        (literals, run) => {
          const parts = literals.map((literal) => literal.replaceAll("*", ""));
          expect(matchesNamePattern(parts.join("*"), parts.join(run))).toBe(true);
        },
      ),
    );
  });

  test("without a star matches itself alone, case and all", () => {
    expect(["box", "Box", "box1", "bo", ""].filter((name) => matchesNamePattern("box", name))).toEqual(["box"]);
    expect(matchesNamePattern("", "")).toBe(true);
    expect(matchesNamePattern("", "box")).toBe(false);
  });

  test("that is hostile takes a time in the product of the lengths, not an exponential one", () => {
    const steps = countReads("*a".repeat(128), "a".repeat(127) + "b".repeat(129));
    expect(steps).toBeLessThan(8 * 256 * 256);
    expect(countReads(`${"*".repeat(255)}b`, "a".repeat(256))).toBeLessThan(8 * 256 * 256);
    expect(countReads(`*${"a".repeat(254)}b`, "a".repeat(256))).toBeLessThan(8 * 256 * 256);
  });
});

/** Characters of pattern and name that a match reads: a count is the same on every machine, a time is not. */
function countReads(pattern: string, name: string): number {
  let count = 0;
  const watch = (text: string): string =>
    new Proxy(Object(text) as object, {
      get(target, key) {
        if (key === "length") return text.length;
        count += 1;
        return text[Number(key)];
      },
    }) as unknown as string;
  expect(matchesNamePattern(watch(pattern), watch(name))).toBe(false);
  return count;
}

describe("a device", () => {
  const device = { deviceId: "device-1", connectionName: "ci-7" };

  test.each([
    [null, null, true],
    [[], null, false],
    [null, [], false],
    [[], [], false],
    [["device-1"], null, true],
    [["device-1"], [], true],
    [["device-1"], ["other"], true],
    [["device-2"], null, false],
    [["device-2"], ["ci-*"], true],
    [null, ["ci-*"], true],
    [null, ["prod-*", "*-8"], false],
    [["device-*"], null, false],
    [["ci-7"], ["device-1"], false],
  ])("under ids %j and names %j is allowed: %j", (deviceIds, connectionNames, allowed) => {
    expect(allowsDevice({ deviceIds, connectionNames }, device)).toBe(allowed);
  });
});

test("a device that a principal's tenant is not held to is not allowed, whatever the principal's own lists say", () => {
  const device = { deviceId: "device-1", connectionName: "ci-7" };
  const allows = (deviceIds: readonly string[] | null, tenantNames: readonly string[]): boolean =>
    allowsDevice(
      { deviceIds, connectionNames: null, tenantDevices: { deviceIds: null, connectionNames: tenantNames } },
      device,
    );
  expect(allows(null, ["ci-*"])).toBe(true);
  expect(allows(null, ["prod-*"])).toBe(false);
  expect(allows(["device-1"], ["prod-*"])).toBe(false);
  expect(allows(["device-2"], ["ci-*"])).toBe(false);
});

test("an agent is allowed when it is named, and no agent only where every one is allowed", () => {
  expect(allowsAgent({ agentIds: null }, undefined)).toBe(true);
  expect(allowsAgent({ agentIds: null }, "agent-1")).toBe(true);
  expect(allowsAgent({ agentIds: ["agent-1"] }, "agent-1")).toBe(true);
  expect(allowsAgent({ agentIds: ["agent-1"] }, "agent-2")).toBe(false);
  expect(allowsAgent({ agentIds: ["agent-1"] }, undefined)).toBe(false);
  expect(allowsAgent({ agentIds: [] }, "agent-1")).toBe(false);
});

describe("a ceiling on the mode", () => {
  test("allows its own mode and the stricter ones, under their older names too", () => {
    const allowed = (maxMode: string): string[] =>
      ceilingModes.filter((currentMode) => allowsMode({ maxMode }, currentMode));
    expect(allowed("default")).toEqual(["default", "standard"]);
    expect(allowed("standard")).toEqual(["default", "standard"]);
    expect(allowed("acceptEdits")).toEqual(["default", "standard", "acceptEdits"]);
    expect(allowed("unrestricted")).toEqual([...ceilingModes]);
    expect(allowed("bypassPermissions")).toEqual([...ceilingModes]);
  });

  test("refuses a mode that is unknown or untold, also under the freest ceiling, and an unknown ceiling allows none", () => {
    for (const currentMode of [undefined, "", "newer", "Standard", "constructor"]) {
      expect(allowsMode({ maxMode: "unrestricted" }, currentMode)).toBe(false);
    }
    expect(ceilingModes.some((currentMode) => allowsMode({ maxMode: "newer" }, currentMode))).toBe(false);
  });

  test("that is absent allows any mode", () => {
    expect([undefined, "newer", "unrestricted"].every((mode) => allowsMode({ maxMode: null }, mode))).toBe(true);
  });
});

describe("an environment that is presented", () => {
  const hidden = "hidden";
  const unknownMembers = fc.dictionary(
    fc.string().filter((name) => !(name in plain) && !["userId", "apiKeyOwner", "self_update"].includes(name)),
    fc.jsonValue().filter((value) => !JSON.stringify(value).includes(hidden)),
  );
  const plain: Environment = {
    id: "env-1",
    connectedAt: null,
    connectionId: null,
    connectionName: "box",
    deviceId: "device-1",
    firstSeenAt: 1,
    lastHeartbeat: null,
    lastSeenAt: 2,
    organizationId: "acme",
    podId: null,
    currentMode: "standard",
    metadata: {},
  };
  const secret = fc.constantFrom(`${hidden}-1`, `${hidden}-2`);
  const optional = <Value>(name: string, value: fc.Arbitrary<Value>): fc.Arbitrary<Record<string, Value>> =>
    fc.option(value, { nil: null }).map((some): Record<string, Value> => (some === null ? {} : { [name]: some }));
  const environments = fc
    .tuple(
      unknownMembers,
      fc.record({ organizationId: secret, podId: fc.option(secret) }),
      optional("userId", secret),
      optional("apiKeyOwner", secret),
      fc
        .tuple(unknownMembers, fc.tuple(unknownMembers, optional("install_path", secret)))
        .map(([members, [selfUpdate, path]]) => ({
          metadata: { ...members, self_update: { supported: true, writable: true, ...selfUpdate, ...path } },
        })),
    )
    .map((parts): Environment => Object.assign({}, plain, ...parts));
  const without = scopes.filter((scope) => scope !== "details");
  const principals = fc
    .subarray(without)
    .map((some) => ({ tenant: "acme", scopes: new Set(some) }) satisfies Parameters<typeof presentEnvironment>[0]);

  test("never shows a hidden member without scope details, and keeps everything else, unknown members included", () => {
    fc.assert(
      fc.property(environments, principals, (environment, principal) => {
        const shown = presentEnvironment(principal, environment);
        expect(JSON.stringify(shown)).not.toContain(hidden);
        const { userId: _userId, apiKeyOwner: _apiKeyOwner, ...expected } = structuredClone(environment);
        delete expected.metadata?.self_update?.install_path;
        expect(shown).toEqual({ ...expected, podId: null, organizationId: "acme" });
      }),
    );
  });

  test("shows the tenant's public name where it has one", () => {
    const principal = { tenant: "acme", tenantName: "Acme Ltd", scopes: new Set(["read"] as const) };
    expect(presentEnvironment(principal, plain)).toEqual({ ...plain, organizationId: "Acme Ltd" });
  });

  test("is not changed itself, and is the same object with scope details", () => {
    fc.assert(
      fc.property(environments, principals, (environment, principal) => {
        const before = structuredClone(environment);
        presentEnvironment(principal, environment);
        expect(environment).toEqual(before);
        const scopesWithDetails = new Set([...principal.scopes, "details" as const]);
        expect(presentEnvironment({ ...principal, scopes: scopesWithDetails }, environment)).toBe(environment);
      }),
    );
  });

  test("is the same object when nothing of it is hidden", () => {
    const principal = { tenant: "acme", scopes: new Set(["read"] as const) };
    expect(presentEnvironment(principal, plain)).toBe(plain);
    const shown = presentEnvironment(principal, { ...plain, podId: "pod-1" });
    expect(presentEnvironment(principal, shown)).toBe(shown);
  });

  test("may have anything in the place of its members", () => {
    const principal = { tenant: "acme", scopes: new Set(["read"] as const) };
    fc.assert(
      fc.property(
        fc.record({ metadata: fc.jsonValue(), userId: fc.jsonValue(), podId: fc.jsonValue() }, { requiredKeys: [] }),
        (row) => {
          const { userId: _userId, ...expected } = row;
          expect(presentEnvironment(principal, row)).toEqual({ ...expected, podId: null, organizationId: "acme" });
        },
      ),
    );
  });
});
