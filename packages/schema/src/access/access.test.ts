import process from "node:process";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  allowsAgent,
  allowsDevice,
  allowsMode,
  allowsScope,
  ceilingModes,
  hasEveryTag,
  matchesNamePattern,
  modeCeiling,
  presentEnvironment,
  unlimitedScopes,
} from "./access.ts";
import type { Environment } from "../schemas/environment.ts";
import { type Principal, scopes } from "./principal.ts";

const fewLetters = fc.string({ unit: fc.constantFrom("a", "b", "*", ".", "[", "\\"), maxLength: 12 });

/** The same rule as a regular expression, which is short but has no bound on its time. */
function matchesByRegExp(pattern: string, name: string): boolean {
  const source = pattern
    .split("*")
    .map((literal) => literal.replace(/[.[\\]/g, String.raw`\$&`))
    .join("[^]*");
  return new RegExp(`^${source}$`).test(name);
}

describe("tags of principals and lists", () => {
  const every = { deviceIds: null, connectionNames: null };
  const device = { deviceId: "device-1", connectionName: "box", tags: ["ci", "linux"] };

  test("a principal with tags may use the devices that have one of them", () => {
    expect(allowsDevice({ ...every, deviceTags: ["gpu", "ci"] }, device)).toBe(true);
    expect(allowsDevice({ ...every, deviceTags: ["gpu"] }, device)).toBe(false);
    expect(allowsDevice({ ...every, deviceTags: [] }, device)).toBe(false);
    expect(allowsDevice({ ...every, deviceTags: null }, device)).toBe(true);
  });

  test("tags restrict in addition to ids and names", () => {
    expect(allowsDevice({ ...every, deviceIds: ["device-2"], deviceTags: ["ci"] }, device)).toBe(false);
    expect(allowsDevice({ deviceIds: ["device-1"], connectionNames: [], deviceTags: ["gpu"] }, device)).toBe(false);
  });

  test("a row without tags, or with something else in their place, has no tags", () => {
    for (const tags of [undefined, null, "ci", { ci: true }, [["ci"]]]) {
      expect(allowsDevice({ ...every, deviceTags: ["ci"] }, { ...device, tags })).toBe(false);
      expect(hasEveryTag({ tags }, ["ci"])).toBe(false);
    }
  });

  test("a list filter with several tags selects rows that have all of them", () => {
    expect(hasEveryTag(device, [])).toBe(true);
    expect(hasEveryTag(device, ["linux", "ci"])).toBe(true);
    expect(hasEveryTag(device, ["ci", "gpu"])).toBe(false);
  });
});

describe("matchesNamePattern", () => {
  test("matchesNamePattern matches the same names as the equivalent regular expression", () => {
    fc.assert(
      fc.property(fewLetters, fewLetters, (pattern, name) => {
        expect(matchesNamePattern(pattern, name)).toBe(matchesByRegExp(pattern, name));
      }),
      { numRuns: 5_000 },
    );
  });

  test("matchesNamePattern matches every name made by replacing each star of the pattern with a text", () => {
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

  test("a pattern without a star matches only itself, case-sensitively", () => {
    expect(["box", "Box", "box1", "bo", ""].filter((name) => matchesNamePattern("box", name))).toEqual(["box"]);
    expect(matchesNamePattern("", "")).toBe(true);
    expect(matchesNamePattern("", "box")).toBe(false);
  });

  test("a hostile pattern and a hostile name of the greatest lengths take microseconds", () => {
    const [half, names] = ["a".repeat(62), ["a".repeat(256), "ab".repeat(128), `${"a".repeat(127)}${"b".repeat(129)}`]];
    const patterns = [
      ...[`*${half}${half}b*`, `*${half}b${half}*`, `*b${half}${half}*`, `*${half}*${half}b`, `*${half}b`],
      ...[`${"*a".repeat(63)}*c`, `${"*ab".repeat(42)}c`, `${"*".repeat(127)}c`, `*${"ab".repeat(62)}c*`],
    ];
    const before = process.cpuUsage();
    for (let round = 0; round < 1_000; round++) {
      for (const pattern of patterns) for (const name of names) matchesNamePattern(pattern, name);
    }
    const microseconds = process.cpuUsage(before).user / (1_000 * patterns.length * names.length);
    expect(microseconds).toBeLessThan(15);
  });
});

describe("allowsDevice", () => {
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
  ])("allowsDevice with ids %j and names %j returns %j", (deviceIds, connectionNames, allowed) => {
    expect(allowsDevice({ deviceIds, connectionNames }, device)).toBe(allowed);
  });
});

test("the allowlist of the tenant applies in addition to that of the principal", () => {
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

test("a listed agent is allowed, and a message without an agent requires that every agent is allowed", () => {
  expect(allowsAgent({ agentIds: null }, undefined)).toBe(true);
  expect(allowsAgent({ agentIds: null }, "agent-1")).toBe(true);
  expect(allowsAgent({ agentIds: ["agent-1"] }, "agent-1")).toBe(true);
  expect(allowsAgent({ agentIds: ["agent-1"] }, "agent-2")).toBe(false);
  expect(allowsAgent({ agentIds: ["agent-1"] }, undefined)).toBe(false);
  expect(allowsAgent({ agentIds: [] }, "agent-1")).toBe(false);
});

describe("allowsMode", () => {
  test("allowsMode allows the maximum mode and stricter ones, also by their older names", () => {
    const allowed = (maxMode: string): string[] =>
      ceilingModes.filter((currentMode) => allowsMode({ maxMode }, currentMode));
    expect(allowed("default")).toEqual(["default", "standard"]);
    expect(allowed("standard")).toEqual(["default", "standard"]);
    expect(allowed("acceptEdits")).toEqual(["default", "standard", "acceptEdits"]);
    expect(allowed("unrestricted")).toEqual([...ceilingModes]);
    expect(allowed("bypassPermissions")).toEqual([...ceilingModes]);
  });

  test("allowsMode refuses an unknown or missing mode even with the most permissive maximum; an unknown maximum allows no mode", () => {
    for (const currentMode of [undefined, "", "newer", "Standard", "constructor"]) {
      expect(allowsMode({ maxMode: "unrestricted" }, currentMode)).toBe(false);
    }
    expect(ceilingModes.some((currentMode) => allowsMode({ maxMode: "newer" }, currentMode))).toBe(false);
  });

  test("allowsMode allows any mode without a maximum", () => {
    expect([undefined, "newer", "unrestricted"].every((mode) => allowsMode({ maxMode: null }, mode))).toBe(true);
  });
});

describe("principals that deny tools", () => {
  const denying = (...deniedTools: readonly string[]) => ({ approvalPolicy: { deniedTools, deadlineMs: null } });

  test.each([
    [["Bash"], "acceptEdits"],
    [["Bash", "Web*"], "acceptEdits"],
    [["Edit"], "standard"],
    [["Bash", "write_*"], "standard"],
    [["memory*"], "standard"],
    [["*"], "standard"],
    [[], null],
  ])(
    "a principal that denies %j may choose no mode beyond %s, so that devices still ask for all of these tools",
    (tools, ceiling) => {
      const policy = denying(...tools);
      expect(modeCeiling({ maxMode: null, ...policy })).toBe(ceiling);
      expect(modeCeiling({ maxMode: null, setMode: "unrestricted", ...policy })).toBe(ceiling ?? "unrestricted");
      expect(modeCeiling({ maxMode: "unrestricted", ...policy })).toBe(ceiling ?? "unrestricted");
      // Its maximum is in shadow mode, and the denial is not.
      expect(modeCeiling({ maxMode: null, modeCeiling: null, ...policy })).toBe(ceiling);
      expect(modeCeiling({ maxMode: "standard", ...policy })).toBe("standard");
      expect(modeCeiling({ maxMode: "newer", ...policy })).toBe("newer");
    },
  );

  test("a principal that denies tools may use none of the scopes that reach everything on a device, and one with a deadline alone may", () => {
    const usable = (policy: Partial<Principal>) =>
      scopes.filter((scope) => allowsScope({ scopes: new Set(scopes), ...policy }, scope));
    expect(usable(denying("Bash"))).toEqual(scopes.filter((scope) => !unlimitedScopes.includes(scope)));
    expect(usable({ approvalPolicy: { deniedTools: [], deadlineMs: 60_000 } })).toEqual(scopes);
  });
});

describe("presentEnvironment", () => {
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

  test("presentEnvironment hides members without the scope details, and keeps all others, including unknown ones", () => {
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

  test.each([
    { podId: hidden },
    { organizationId: hidden },
    { userId: hidden },
    { apiKeyOwner: hidden },
    { metadata: { self_update: { supported: true, writable: true, install_path: hidden } } },
  ] satisfies Partial<Environment>[])("presentEnvironment hides %j even if nothing else has to be hidden", (member) => {
    const principal = { tenant: "acme", scopes: new Set(without) };
    expect(JSON.stringify(presentEnvironment(principal, { ...plain, ...member }))).not.toContain(hidden);
  });

  test("presentEnvironment shows the public name of the tenant if it has one", () => {
    const principal = { tenant: "acme", tenantName: "Acme Ltd", scopes: new Set(["read"] as const) };
    expect(presentEnvironment(principal, plain)).toEqual({ ...plain, organizationId: "Acme Ltd" });
  });

  test("presentEnvironment does not change its input, and returns the same object with the scope details", () => {
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

  test("presentEnvironment returns the same object if nothing is hidden", () => {
    const principal = { tenant: "acme", scopes: new Set(["read"] as const) };
    expect(presentEnvironment(principal, plain)).toBe(plain);
    const shown = presentEnvironment(principal, { ...plain, podId: "pod-1" });
    expect(presentEnvironment(principal, shown)).toBe(shown);
  });

  test("presentEnvironment accepts a row whose members have any JSON value", () => {
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
