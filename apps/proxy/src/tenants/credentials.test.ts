import { jsonResponse } from "@letta-environments/schema";
import type { KeyStore, UpstreamFetch } from "../ports.ts";
import { describe, expect, test, vi } from "vitest";
import { createVirtualClock } from "@letta-environments/testkit";
import { openSqlite } from "@letta-environments/platform/node";
import { createTestKeyRecord } from "../../test/support/create-test-key-record.ts";
import { createTestPrincipal } from "../../test/support/create-test-principal.ts";
import { fakeRequest } from "../../test/support/fake-request.ts";
import { environmentRow } from "../../test/support/environment-row.ts";
import { createTestIssuer, testJwtSettings } from "../../test/support/test-issuer.ts";
import { bodyOf, createTestProxy, issueTestKey, problemOf } from "../../test/support/test-proxy.ts";
import { createMemoryKeyStore } from "../adapters/memory/key-store.ts";
import { createSqliteKeyStore } from "../adapters/sqlite/key-store.ts";
import { createTenantGuard } from "../auth/tenant-guard.ts";
import type { TenantSettings } from "./settings.ts";
import { revokeKey } from "../keys/key-lifecycle.ts";
import type { KeyRecord } from "../keys/key-record.ts";
import {
  createTenantAdmission,
  findCredentialConflicts,
  findSharedCredentials,
  refuseSharedChanges,
  type TenantCredential,
} from "./credentials.ts";

function tenant(name: string, credential: string | null, deviceIds: readonly string[] | null = null): TenantCredential {
  return { tenant: name, credential, deviceIds, connectionNames: null };
}

function settingsOf(overrides: Partial<TenantSettings> = {}): TenantSettings {
  return { credential: null, publicName: null, deviceIds: null, connectionNames: null, ...overrides };
}

describe("tenants that share an upstream credential", () => {
  test("tenants that share an upstream credential are refused unless each has a device allowlist", () => {
    const problems = findSharedCredentials([tenant("a", "x"), tenant("b", "x", ["d1"]), tenant("c", "y")]);
    expect(problems).toMatchObject([{ setting: "tenants.a", rule: expect.stringContaining("'b'") }]);
    expect(JSON.stringify(problems)).not.toContain("x'");
  });

  test("tenants that share an upstream credential may have different devices in their allowlists, but not the same ones", () => {
    expect(findSharedCredentials([tenant("a", "x", ["d1"]), tenant("b", "x", ["d2"])])).toEqual([]);
    expect(findSharedCredentials([tenant("a", "x", ["d1"]), tenant("b", "x", ["d2", "d1"])])).toMatchObject([
      { setting: "tenants.a.deviceIds" },
      { setting: "tenants.b.deviceIds" },
    ]);
  });

  test("tenants without an upstream credential count as sharing one", () => {
    expect(findSharedCredentials([tenant("a", null), tenant("b", null)])).toHaveLength(2);
  });
});

describe("changed credentials", () => {
  const current = [tenant("a", "x"), tenant("b", "y"), tenant("c", "z", ["d1"]), tenant("d", "w", ["d2"])];
  test.each([
    ["another tenant's credential", { a: "y" }, ["a"]],
    ["swapped credentials", { a: "y", b: "x" }, []],
    ["credentials that each move to the next tenant", { a: "y", b: "z", c: "z2" }, []],
    ["credentials that follow a refused one", { a: "y", b: "w" }, ["b", "a"]],
    ["the same new credential for two tenants", { a: "n", b: "n" }, ["a", "b"]],
    ["sharing with different allowlists", { c: "w" }, []],
    ["sharing where only one has an allowlist", { c: "x" }, ["c"]],
    ["sharing where only the other has an allowlist", { a: "z" }, ["a"]],
  ])("%s is refused exactly if the tenants would see each other's devices", (_what, changed, refused) => {
    const rules = refuseSharedChanges(current, new Map(Object.entries(changed)));
    expect([...rules.keys()]).toEqual(refused);
    for (const rule of rules.values())
      expect(rule).toMatch(/^tenants\.\w shares its upstream credential with tenant '\w'/);
  });

  test("the check ignores tenants that share a credential which has not changed", () => {
    const shared = [...current, tenant("e", "x")];
    expect([...refuseSharedChanges(shared, new Map([["b", "n"]]))]).toEqual([]);
  });
});

test.each<[what: string, added: Partial<KeyRecord>, conflicts: readonly string[], reads: number]>([
  ["a configured tenant", { tenant: "a" }, [], 0],
  ["the tenant of tokens", { tenant: "t" }, [], 0],
  ["another tenant that cannot call the upstream", { tenant: "b", scopes: ["connect", "admin"] }, [], 0],
  ["another tenant that is revoked", { tenant: "b", revokedAt: 1 }, [], 0],
  ["another tenant that calls the upstream already", { tenant: "known" }, [], 1],
  ["another tenant", { tenant: "b" }, ["tenants.b"], 1],
])(
  "a key of %s is refused exactly if the next start would fail, and the keys are read only if it may",
  async (_what, added, conflicts, reads) => {
    const keyStore = createMemoryKeyStore();
    await keyStore.create(createTestKeyRecord({ tenant: "known" }));
    const summarize = vi.spyOn(keyStore, "summarize");
    const tenants = new Map([["a", settingsOf({ deviceIds: ["d1"] })]]);
    const sharing = { tenants, jwt: { tenant: "t" }, credentialOf: () => "default" };
    const found = await findCredentialConflicts(sharing, keyStore, createTestKeyRecord(added), 5);
    expect(found.map(({ setting }) => setting)).toEqual(conflicts);
    expect(summarize).toHaveBeenCalledTimes(reads);
  },
);

describe("tenants that are not in the configuration", () => {
  function setUp(tenants: ReadonlyMap<string, TenantSettings> = new Map(), jwtTenant: string | null = null) {
    const clock = createVirtualClock();
    const keyStore = createSqliteKeyStore(openSqlite(":memory:"), clock);
    const credentialOf = (): string => "default";
    let reads = 0;
    const counted: KeyStore = {
      ...keyStore,
      summarize(nowMs) {
        reads += 1;
        return keyStore.summarize(nowMs);
      },
    };
    const admits = createTenantAdmission({
      clock,
      keyStore: counted,
      tenants,
      jwt: { tenant: jwtTenant },
      credentialOf,
    });
    return { clock, keyStore, admits, reads: () => reads };
  }

  test("the only tenant that is not configured may use the default credential", async () => {
    const { admits, keyStore, clock } = setUp();
    await issueTestKey(keyStore, clock, { tenant: "a" });
    expect(await admits("a", "key")).toBe(true);
    await issueTestKey(keyStore, clock, { tenant: "b" });
    expect(await admits("b", "key")).toBe(false);
    expect(await admits("a", "key")).toBe(true);
  });

  test("two tenants that are not configured are both refused if both have live keys", async () => {
    const { admits, keyStore, clock } = setUp();
    const { record } = await issueTestKey(keyStore, clock, { tenant: "a" });
    await issueTestKey(keyStore, clock, { tenant: "b" });
    await issueTestKey(keyStore, clock, { tenant: "c", scopes: ["admin"] });
    expect([await admits("a", "key"), await admits("b", "key")]).toEqual([false, false]);
    await keyStore.update(record.id, (key) => revokeKey(key, clock.now()));
    expect(await admits("b", "key")).toBe(true);
  });

  test("once every key of the admitted tenant has ended, the next one may use the default credential, and then the first is refused", async () => {
    const { admits, keyStore, clock } = setUp();
    const first = await issueTestKey(keyStore, clock, { tenant: "a" });
    const last = await issueTestKey(keyStore, clock, { tenant: "a", scopes: ["control"] });
    expect(await admits("a", "key")).toBe(true);
    await keyStore.update(first.record.id, (key) => revokeKey(key, clock.now()));
    await issueTestKey(keyStore, clock, { tenant: "b" });
    expect([await admits("b", "key"), await admits("a", "key")]).toEqual([false, true]);
    await keyStore.update(last.record.id, (key) => revokeKey(key, clock.now()));
    expect([await admits("b", "token"), await admits("b", "key")]).toEqual([false, true]);
    await issueTestKey(keyStore, clock, { tenant: "a" });
    expect([await admits("a", "key"), await admits("b", "key")]).toEqual([false, true]);
  });

  test("a tenant that is not configured is refused if a configured one uses the default credential, or if a token names it", async () => {
    const named = setUp(new Map([["a", settingsOf({ deviceIds: ["d1"] })]]));
    expect([await named.admits("a", "key"), await named.admits("b", "key")]).toEqual([true, false]);
    expect(await setUp().admits("b", "token")).toBe(false);
  });

  test("a token that names the admitted tenant is refused, so that none is still cached when another tenant is admitted", async () => {
    const { admits, keyStore, clock } = setUp();
    await issueTestKey(keyStore, clock, { tenant: "a" });
    const token = { kind: "authenticated", principal: createTestPrincipal({ tenant: "a" }) } as const;
    const applyTenant = createTenantGuard({ tenants: new Map(), approvals: null, admitsTenant: admits });
    expect(await admits("a", "key")).toBe(true);
    expect([await admits("a", "token"), (await applyTenant(token, "token")).kind]).toEqual([false, "refused"]);
  });

  test("the keys are read once a second for requests of a refused tenant, and again when a key has changed", async () => {
    const { admits, keyStore, clock, reads } = setUp();
    const { record } = await issueTestKey(keyStore, clock, { tenant: "a" });
    expect(await admits("a", "key")).toBe(true);
    await issueTestKey(keyStore, clock, { tenant: "b" });
    const readsBefore = reads();
    for (let request = 0; request < 100; request++) expect(await admits("b", "key")).toBe(false);
    expect(reads() - readsBefore).toBe(1);
    await clock.advance(1_000);
    expect([await admits("b", "key"), reads() - readsBefore]).toEqual([false, 2]);
    await keyStore.update(record.id, (key) => revokeKey(key, clock.now()));
    expect([await admits("b", "key"), reads() - readsBefore]).toEqual([true, 3]);
  });

  test("a tenant is admitted within a second after the last key of the admitted one has expired", async () => {
    const { admits, keyStore, clock } = setUp();
    await issueTestKey(keyStore, clock, { tenant: "a", expiresAt: clock.now() + 500 });
    expect(await admits("a", "key")).toBe(true);
    await issueTestKey(keyStore, clock, { tenant: "b" });
    expect(await admits("b", "key")).toBe(false);
    await clock.advance(1_000);
    expect(await admits("b", "key")).toBe(true);
  });

  test("the fixed tenant of tokens is admitted without configuration, and then no other unconfigured tenant is", async () => {
    const { admits } = setUp(new Map(), "a");
    expect([await admits("a", "token"), await admits("b", "key")]).toEqual([true, false]);
  });

  test("a tenant that is not admitted is refused without an upstream request", async () => {
    const remote = { credentialOf: () => "x", admitsTenant: (name: string) => name === "a" };
    const { proxy, issueKey, upstreamRequests } = createTestProxy(undefined, { remote });
    const [a, b] = [await issueKey({ tenant: "a" }), await issueKey({ tenant: "b" })];
    expect((await proxy.handle(fakeRequest({ key: a.key }))).status).toBe(200);
    const refused = await proxy.handle(fakeRequest({ key: b.key }));
    expect(problemOf(refused)).toMatchObject({ status: 403, errorCode: "tenant_not_configured" });
    expect(upstreamRequests).toHaveLength(1);
  });

  test("a token that names a tenant that is not admitted is refused without an upstream request", async () => {
    const issuer = await createTestIssuer();
    const { proxy, clock, upstreamRequests } = createTestProxy(undefined, {
      remote: { admitsTenant: (name, via) => name === "a" && via === "token" },
      ports: { fetchJwks: issuer.fetchJwks },
      config: { jwt: testJwtSettings },
    });
    const list = async (org: string) =>
      proxy.handle(fakeRequest({ key: await issuer.sign(clock.now(), { claims: { org, scope: "list" } }) }));
    expect((await list("a")).status).toBe(200);
    expect(problemOf(await list("b"))).toMatchObject({ status: 403, errorCode: "tenant_not_configured" });
    expect(upstreamRequests).toHaveLength(1);
  });
});

test("a key of a tenant with an allowlist is restricted to it, and sees the tenant's public name", async () => {
  const rows = [environmentRow("1"), environmentRow("2")];
  const tenants = new Map([["a", settingsOf({ deviceIds: ["device-1"], publicName: "Acme" })]]);
  const upstream: UpstreamFetch = ({ path }) =>
    Promise.resolve(jsonResponse(200, path.endsWith("-2") ? rows[1] : { connections: rows, hasNextPage: false }));
  const { proxy, issueKey } = createTestProxy(upstream, { config: { tenants } });
  const { key } = await issueKey({ tenant: "a" });
  const outside = await proxy.handle(fakeRequest({ key, path: "/v1/environments/device-2" }));
  expect(problemOf(outside).errorCode).toBe("environment_not_found");
  expect(bodyOf(await proxy.handle(fakeRequest({ key })))).toMatchObject({
    connections: [{ deviceId: "device-1", organizationId: "Acme" }],
    hasNextPage: false,
  });
});
