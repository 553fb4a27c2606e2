/** `/admin/v1/devices`: who sees which devices, and what releasing and removing one does. */
import { describe, expect, test, vi } from "vitest";
import { createHostGuard } from "../src/admin/admission.ts";
import { createDeviceAdministrationProxy, type DevicesAnswer } from "./support/device-administration.ts";
import { createTestIssuer, testJwtSettings } from "./support/test-issuer.ts";
import { createTestProxy, problemOf } from "./support/test-proxy.ts";
import { fakeRequest } from "./support/fake-request.ts";

const operatorToken = "an-operators-token-of-forty-characters-x";

/** A gateway with a device of each of two tenants, and administering keys of both. */
async function setUp() {
  const world = await createDeviceAdministrationProxy();
  const connectKey = await world.issueKey({ scopes: ["connect"] });
  const foreignKey = await world.issueKey({ scopes: ["connect"], tenant: "other" });
  const admin = await world.issueKey({ scopes: ["admin"] });
  const closes = await world.connect(connectKey.key, { deviceId: "d1", connectionName: "ci-1" });
  await world.register(foreignKey.key, { deviceId: "d9", connectionName: "foreign" });
  return { ...world, connectKey, foreignKey, admin, closes };
}

function idsOf({ devices }: DevicesAnswer): readonly string[] {
  return devices.map(({ deviceId }) => deviceId);
}

/** The enrolment of a device of the tenant `default`, past the rules of the gateway. */
function enrolment(deviceId: string, connectionName: string) {
  return {
    tenant: "default",
    deviceId,
    listenerInstanceId: "default",
    connectionName,
    metadata: null,
    keyId: "key-of-the-device",
    owner: "test",
    shared: false,
    knownNames: null,
    labels: null,
    environmentId: `env_${deviceId}`,
    connectionId: `conn_${deviceId}`,
    nowMs: 1,
    maxEnvironments: 100,
  };
}

describe("the list of devices", () => {
  test("a list shows the devices of the key's tenant with their owners and whether they are online", async () => {
    const { devices, admin, connectKey } = await setUp();
    const answer = await devices(admin.key);
    expect(answer.status).toBe(200);
    expect(answer.devices).toEqual([
      {
        id: expect.stringMatching(/^env-/),
        deviceId: "d1",
        tenant: "default",
        connectionName: "ci-1",
        displayName: null,
        tags: [],
        listenerInstanceId: "default",
        ownerKeyId: connectKey.record.id,
        shared: false,
        firstSeenAt: expect.any(Number),
        lastSeenAt: expect.any(Number),
        online: true,
        connectionId: expect.stringMatching(/^env-conn-/),
      },
    ]);
    expect(answer.text).not.toContain('"d9"');
  });

  test("the pages of a list contain every device once, in the order of the row ids", async () => {
    const { devices, admin, register, connectKey } = await setUp();
    for (let index = 2; index <= 6; index++) await register(connectKey.key, { deviceId: `d${index}` });
    const seen: string[] = [];
    let after = "";
    for (let pages = 0; pages < 10; pages++) {
      const query = `limit=2${after === "" ? "" : `&after=${after}`}`;
      const page = await devices(admin.key, "", { query });
      seen.push(...idsOf(page));
      after = page.devices.at(-1)?.id ?? "";
      if (!page.hasNextPage) break;
    }
    expect(seen.toSorted()).toEqual(["d1", "d2", "d3", "d4", "d5", "d6"]);
  });

  test("a page of a list reads no more rows than it shows and one more, and no metadata", async () => {
    const { devices, issueKey, store } = await createDeviceAdministrationProxy();
    for (let number = 1; number <= 9; number++)
      await store.enrol({ ...enrolment(`d${number}`, `ci-${number}`), metadata: { os: "linux" } });
    const admin = await issueKey({ scopes: ["admin"] });
    const reads = vi.spyOn(store, "listDevices");
    expect((await devices(admin.key, "", { query: "limit=2" })).hasNextPage).toBe(true);
    expect(reads.mock.calls.map(([{ limit }]) => limit)).toEqual([3]);
    const rows = await reads.mock.results[0]?.value;
    expect(rows).toMatchObject([1, 2, 3].map(() => ({ metadata: null })));
  });

  test.each(["key", "tenant"])(
    "a list for a %s with many name patterns lets other work run after a few rows",
    async (of) => {
      const patterns = Array.from({ length: 1_000 }, (_, index) => `*-${index}-`).concat("*-30");
      const rule = { credential: null, deviceIds: null, connectionNames: patterns, publicName: null };
      const tenants = of === "key" ? {} : { tenants: new Map([["default", rule]]) };
      const { devices, issueKey, store, clock } = await createDeviceAdministrationProxy(tenants);
      for (let number = 1; number <= 30; number++) await store.enrol(enrolment(`d${number}`, `ci-${number}`));
      const admin = await issueKey({ scopes: ["admin"], ...(of === "key" && { connectionNames: patterns }) });
      const [reads, timers] = [vi.spyOn(store, "listDevices"), vi.spyOn(clock, "setTimer")];
      const asked = devices(admin.key);
      await clock.advance(1);
      expect(idsOf(await asked)).toEqual(["d30"]);
      expect(reads.mock.calls.map(([{ limit }]) => limit)).toEqual(Array.from({ length: 8 }, () => 4));
      expect(timers.mock.calls.filter(([delayMs]) => delayMs === 0)).toHaveLength(7);
    },
  );

  test.each(["limit=0", "limit=101", "state=active", "after=a%20b"])("the query %s is 400", async (query) => {
    const { devices, admin } = await setUp();
    expect(await devices(admin.key, "", { query })).toMatchObject({ status: 400, errorCode: "invalid_request" });
  });

  test("the operator sees and changes the devices of every tenant, and names the tenant of a device", async () => {
    const world = await createDeviceAdministrationProxy({
      adminListener: { token: operatorToken, guard: () => null },
    });
    const foreign = await world.issueKey({ scopes: ["connect"], tenant: "other" });
    await world.register(foreign.key, { deviceId: "d9" });
    const ask = (path = "", options: object = {}) => world.devices(operatorToken, path, { ...options, listener: true });
    expect(idsOf(await ask())).toEqual(["d9"]);
    expect(idsOf(await ask("", { query: "tenant=default" }))).toEqual([]);
    expect((await ask("/d9")).status).toBe(404);
    expect(idsOf(await ask("/d9", { query: "tenant=other" }))).toEqual(["d9"]);
    expect((await ask("/d9", { method: "DELETE", query: "tenant=other" })).status).toBe(204);
    expect(idsOf(await ask())).toEqual([]);
    expect(await world.entries()).toContainEqual(
      expect.objectContaining({ type: "device_changed", act: "removed", actor: { kind: "admin-listener" } }),
    );
  });
});

describe("a key that may not administer a device", () => {
  test.each([
    ["GET", "/d9"],
    ["POST", "/d9/release"],
    ["DELETE", "/d9"],
  ])(
    "%s %s of a device of another tenant is 404 as for an unknown device, and changes nothing",
    async (method, path) => {
      const { devices, admin, store, entries } = await setUp();
      const [foreign, named, unknown] = await Promise.all([
        devices(admin.key, path, { method }),
        devices(admin.key, path, { method, query: "tenant=other" }),
        devices(admin.key, path.replace("d9", "nobody"), { method }),
      ]);
      expect([foreign.status, named.status, unknown.status]).toEqual([404, 404, 404]);
      expect([foreign.errorCode, named.errorCode]).toEqual(["environment_not_found", "environment_not_found"]);
      expect((await store.findEnvironments("other", "d9")).length).toBe(1);
      expect((await entries()).filter(({ type }) => type.startsWith("device_"))).toEqual([]);
    },
  );

  test("a key that is restricted to device names neither sees nor changes devices with other names", async () => {
    const { devices, issueKey, store } = await setUp();
    const restricted = await issueKey({ scopes: ["admin"], connectionNames: ["prod-*"] });
    expect(idsOf(await devices(restricted.key))).toEqual([]);
    expect((await devices(restricted.key, "/d1")).status).toBe(404);
    expect((await devices(restricted.key, "/d1", { method: "DELETE" })).status).toBe(404);
    expect((await store.findEnvironments("default", "d1")).length).toBe(1);
  });

  test("a key that may access only some names of a device cannot change it: 403 grant_not_allowed", async () => {
    const { devices, issueKey, register, connectKey, store } = await setUp();
    await register(connectKey.key, { deviceId: "d1", connectionName: "prod-1", instance: "second" });
    const restricted = await issueKey({ scopes: ["admin"], connectionNames: ["prod-*"] });
    expect((await devices(restricted.key, "/d1")).devices.map((one) => one.connectionName)).toEqual(["prod-1"]);
    for (const [method, path] of [["DELETE", "/d1"] as const, ["POST", "/d1/release"] as const]) {
      expect(await devices(restricted.key, path, { method })).toMatchObject({
        status: 403,
        errorCode: "grant_not_allowed",
      });
    }
    expect((await store.findEnvironments("default", "d1")).length).toBe(2);
  });

  test("a key of a tenant that the configuration restricts to other devices does not see a device", async () => {
    const world = await createDeviceAdministrationProxy({
      tenants: new Map([["default", { credential: null, deviceIds: ["d2"], connectionNames: null, publicName: null }]]),
    });
    const connect = await world.issueKey({ scopes: ["connect"] });
    const admin = await world.issueKey({ scopes: ["admin"] });
    await world.register(connect.key, { deviceId: "d2" });
    expect(idsOf(await world.devices(admin.key))).toEqual(["d2"]);
    await world.store.enrol(enrolment("d1", "d1"));
    expect(idsOf(await world.devices(admin.key))).toEqual(["d2"]);
    expect((await world.devices(admin.key, "/d1", { method: "DELETE" })).status).toBe(404);
  });

  test("a key without scope admin is 403, a request without a key 401, and a JWT is never enough", async () => {
    const issuer = await createTestIssuer();
    const world = await createDeviceAdministrationProxy();
    const { key } = await world.issueKey({ scopes: ["list", "read", "send", "connect", "details"] });
    expect((await world.devices(key)).errorCode).toBe("insufficient_scope");
    const anonymous = await world.proxy.handle(fakeRequest({ path: "/admin/v1/devices" }));
    expect(anonymous.status).toBe(401);
    const token = await issuer.sign(world.clock.now(), { claims: { scope: "admin" } });
    const tokens = createTestProxy(undefined, {
      ports: { fetchJwks: (url, signal) => issuer.fetchJwks(url, signal) },
      config: { jwt: { ...testJwtSettings, scopeMap: null } },
    });
    const response = await tokens.proxy.handle(fakeRequest({ key: token, path: "/admin/v1/devices" }));
    expect(problemOf(response).errorCode).toBe("insufficient_scope");
  });

  test("a web page cannot administer devices: a request with an Origin is 403", async () => {
    const { proxy, admin } = await setUp();
    const headers = { origin: "https://console.example" };
    const path = "/admin/v1/devices/d1";
    expect((await proxy.handle(fakeRequest({ key: admin.key, method: "DELETE", path, headers }))).status).toBe(403);
  });

  test("with a separate administration listener, the main listener does not serve device administration", async () => {
    const world = await createDeviceAdministrationProxy({
      adminListener: { token: operatorToken, guard: createHostGuard([]) },
    });
    const { key } = await world.issueKey({ scopes: ["admin"] });
    expect((await world.devices(key)).errorCode).toBe("endpoint_not_found");
  });
});

describe("releasing a device", () => {
  test("another key of the tenant can enrol a released device, the earlier owner no longer can, and both are audited", async () => {
    const { devices, admin, register, connectKey, issueKey, closes, entries } = await setUp();
    const successor = await issueKey({ scopes: ["connect"] });
    await expect(register(successor.key, { deviceId: "d1" })).rejects.toThrow("device_owned_by_another_key");
    const released = await devices(admin.key, "/d1/release", { method: "POST" });
    expect(released).toMatchObject({ status: 200, devices: [{ deviceId: "d1", ownerKeyId: null, shared: false }] });
    expect(closes).toEqual([]);
    await register(successor.key, { deviceId: "d1" });
    await expect(register(connectKey.key, { deviceId: "d1" })).rejects.toThrow("device_owned_by_another_key");
    const change = {
      actor: { kind: "key", keyId: admin.record.id, tenant: "default" },
      tenant: "default",
      deviceId: "d1",
      act: "released",
    };
    expect((await entries()).filter(({ type }) => type.startsWith("device_"))).toEqual([
      expect.objectContaining({ type: "device_change_started", ...change }),
      expect.objectContaining({
        type: "device_changed",
        ...change,
        ownerKeyId: connectKey.record.id,
        connectionNames: ["ci-1"],
      }),
    ]);
  });

  test("a key of another tenant cannot enrol a released device as its own row of the first tenant", async () => {
    const { devices, admin, register, foreignKey, store } = await setUp();
    await devices(admin.key, "/d1/release", { method: "POST" });
    await register(foreignKey.key, { deviceId: "d1" });
    const [row] = await store.findEnvironments("default", "d1");
    expect(row?.connectionName).toBe("ci-1");
    expect((await devices(admin.key, "/d1")).devices[0]?.ownerKeyId).toBeNull();
  });

  test("repeating a release changes nothing and is not audited", async () => {
    const { devices, admin, entries } = await setUp();
    await devices(admin.key, "/d1/release", { method: "POST" });
    const before = await entries();
    expect((await devices(admin.key, "/d1/release", { method: "POST" })).status).toBe(200);
    expect(await entries()).toEqual(before);
  });
});

describe("removing a device", () => {
  test("removing a device closes its socket with 1008, makes it unknown, and frees its id for another key", async () => {
    const { devices, admin, closes, register, issueKey, proxy } = await setUp();
    expect((await devices(admin.key, "/d1", { method: "DELETE" })).status).toBe(204);
    expect(closes).toEqual([1008]);
    expect(idsOf(await devices(admin.key))).toEqual([]);
    expect((await devices(admin.key, "/d1", { method: "DELETE" })).status).toBe(404);
    const reader = await issueKey({ scopes: ["read"] });
    const read = await proxy.handle(fakeRequest({ key: reader.key, path: "/v1/environments/d1" }));
    expect(problemOf(read).errorCode).toBe("environment_not_found");
    await register((await issueKey({ scopes: ["connect"] })).key, { deviceId: "d1" });
  });

  test("a release or removal whose If-Match names a version, or whose If-None-Match is *, is 412 and changes nothing", async () => {
    const { admin, closes, entries, proxy } = await setUp();
    const ask = (method: string, path: string, ifMatch: string) =>
      proxy.handle(fakeRequest({ key: admin.key, method, path, headers: { "if-match": ifMatch } }));
    const before = await entries();
    for (const [method, path] of [
      ["POST", "/admin/v1/devices/d1/release"],
      ["DELETE", "/admin/v1/devices/d1"],
    ] as const) {
      expect(problemOf(await ask(method, path, '"version"')).errorCode).toBe("precondition_failed");
    }
    const headers = { "if-none-match": "*" };
    const unlessThere = fakeRequest({ key: admin.key, method: "DELETE", path: "/admin/v1/devices/d1", headers });
    expect(problemOf(await proxy.handle(unlessThere)).errorCode).toBe("precondition_failed");
    expect([await entries(), closes]).toEqual([before, []]);
    expect((await ask("DELETE", "/admin/v1/devices/d1", "*")).status).toBe(204);
  });

  test("a device whose change cannot be recorded in the audit log is not changed: 503 audit_unavailable", async () => {
    const world = await createDeviceAdministrationProxy();
    const { key: connect } = await world.issueKey({ scopes: ["connect"] });
    const { key } = await world.issueKey({ scopes: ["admin"] });
    await world.register(connect, { deviceId: "d1" });
    world.auditDatabase.close();
    expect(await world.devices(key, "/d1", { method: "DELETE" })).toMatchObject({
      status: 503,
      errorCode: "audit_unavailable",
    });
    expect((await world.store.findEnvironments("default", "d1")).length).toBe(1);
  });
});

test("device administration is 404 with a remote upstream", async () => {
  const testProxy = createTestProxy();
  const { key } = await testProxy.issueKey({ scopes: ["admin"] });
  for (const [method, path] of [
    ["GET", ""],
    ["GET", "/d1"],
    ["POST", "/d1/release"],
    ["DELETE", "/d1"],
  ]) {
    const request = fakeRequest({ key, ...(method !== undefined && { method }), path: `/admin/v1/devices${path}` });
    expect(problemOf(await testProxy.proxy.handle(request)).errorCode).toBe("endpoint_not_found");
  }
});
