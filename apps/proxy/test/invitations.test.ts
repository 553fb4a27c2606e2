/** Invitations: who may use one, for how long, and what its device gets. */
import { describe, expect, test } from "vitest";
import type { KeyRecord } from "../src/keys/key-record.ts";
import { KeyStoreUnavailableError } from "../src/keys/key-store-outages.ts";
import type { KeyStore } from "../src/ports.ts";
import type { GatewayConfig } from "../src/services.ts";
import { undescribed } from "./support/api-description.ts";
import { createDeviceAdministrationProxy } from "./support/device-administration.ts";
import { fakeRequest } from "./support/fake-request.ts";
import { bodyOf, problemOf } from "./support/test-proxy.ts";

const hourMs = 3_600_000;

async function setUp(
  tags: readonly string[] = ["ci"],
  connectionNames: readonly string[] | null = null,
  config: Partial<GatewayConfig> = {},
) {
  const world = await createDeviceAdministrationProxy(config);
  const expiresAt = world.clock.now() + hourMs;
  const { key, record } = await world.issueKey({ scopes: ["connect"], connectionNames, invite: { expiresAt, tags } });
  const admin = await world.issueKey({ scopes: ["admin", "read"] });
  const stored = async () => (await world.keyStore.list()).find(({ id }) => id === record.id);
  return { ...world, key, record, admin, stored };
}

describe("device invitations", () => {
  test("an invitation belongs to the first device that uses it, and gives it its tags", async () => {
    const { register, key, store, stored, connect } = await setUp();
    await connect(key, { deviceId: "d1" });
    expect((await store.findEnvironments("default", "d1")).map(({ tags }) => tags)).toEqual([["ci"]]);
    await expect(register(key, { deviceId: "d2" })).rejects.toThrow("device_not_allowed");
    expect(await store.findEnvironments("default", "d2")).toEqual([]);
    expect(await stored()).toMatchObject({ deviceIds: ["d1"], requires: [], invite: { tags: ["ci"] } });
  });

  test("an unused invitation expires, and a used one stays valid for its device", async () => {
    const unused = await setUp();
    await unused.clock.advance(hourMs);
    await expect(unused.register(unused.key, { deviceId: "d1" })).rejects.toThrow("invalid_key");
    const used = await setUp();
    await used.register(used.key, { deviceId: "d1" });
    // Past its hour, and past every time after which something is forgotten.
    await used.clock.advance(25 * hourMs);
    await expect(used.connect(used.key, { deviceId: "d1", connectionName: "renamed" })).resolves.toEqual([]);
  });

  test("an invitation may be used again by its device, before and after its expiry", async () => {
    const { register, key, clock } = await setUp();
    await register(key, { deviceId: "d1" });
    await expect(register(key, { deviceId: "d1" })).resolves.toBeTypeOf("string");
    await clock.advance(2 * hourMs);
    await expect(register(key, { deviceId: "d1" })).resolves.toBeTypeOf("string");
  });

  test("a device that belongs to another key does not use up an invitation, which still expires", async () => {
    const { register, key, admin, devices, issueKey, stored, clock } = await setUp();
    const owner = await issueKey({ scopes: ["connect"] });
    await register(owner.key, { deviceId: "d1" });
    const before = await stored();
    await expect(register(key, { deviceId: "d1" })).rejects.toThrow("device_owned_by_another_key");
    expect(await stored()).toEqual(before);
    await clock.advance(hourMs);
    await devices(admin.key, "/d1/release", { method: "POST" });
    await expect(register(key, { deviceId: "d1" })).rejects.toThrow("invalid_key");
  });

  test("a refused registration does not use up an invitation, whatever the reason", async () => {
    const { proxy, register, key, stored } = await setUp([], ["ci-*"]);
    const before = await stored();
    const requestWith = (metadata: object) => {
      const body = JSON.stringify({ deviceId: "d1", connectionName: "ci-1", metadata });
      return fakeRequest({ key, method: "POST", path: "/v1/environments/register", body });
    };
    const tooLarge = requestWith({ text: "x".repeat(20_000) });
    // The address of the server is what it checks last.
    for (const request of [tooLarge, { ...requestWith({}), authority: null }]) {
      expect(problemOf(await proxy.handle(request)).errorCode).toBe("invalid_request");
      expect(await stored()).toEqual(before);
    }
    await expect(register(key, { deviceId: "d2", connectionName: "ci-2" })).resolves.toBeTypeOf("string");
    await expect(register(key, { deviceId: "d1", connectionName: "ci-1" })).rejects.toThrow("device_not_allowed");
  });

  test("of two devices that register with one invitation at the same time, one is enrolled, and the change is audited once", async () => {
    const { register, key, record, store, stored, entries } = await setUp();
    const ids = ["d1", "d2"];
    const registrations = await Promise.allSettled(ids.map((deviceId) => register(key, { deviceId })));
    const enrolled = ids.filter((_, index) => registrations[index]?.status === "fulfilled");
    expect(enrolled).toHaveLength(1);
    expect(registrations).toContainEqual({ status: "rejected", reason: new Error("device_not_allowed") });
    expect(await stored()).toMatchObject({ deviceIds: enrolled });
    const rows = await Promise.all(ids.map((deviceId) => store.findEnvironments("default", deviceId)));
    expect(rows.flat().map(({ deviceId }) => deviceId)).toEqual(enrolled);
    const changes = (await entries()).filter(({ type }) => type === "key_changed");
    expect(changes).toMatchObject([{ actor: { kind: "key", keyId: record.id }, act: "updated" }]);
  });

  test("a device whose use of an invitation cannot be audited or stored is not enrolled, and the invitation stays unused", async () => {
    const { proxy, register, key, keyStore, store, stored, auditDatabase } = await setUp();
    const before = await stored();
    const { update } = keyStore;
    const refuse = (): Promise<never> => Promise.reject(new KeyStoreUnavailableError(new Error("locked")));
    Object.assign(keyStore, { update: refuse } satisfies Partial<KeyStore>);
    const body = JSON.stringify({ deviceId: "d1", connectionName: "d1" });
    const request = fakeRequest({ key, method: "POST", path: "/v1/environments/register", body });
    const response = await proxy.handle(request);
    expect([problemOf(response).errorCode, response.headers["retry-after"]]).toEqual(["key_store_unavailable", "2"]);
    Object.assign(keyStore, { update });
    auditDatabase.exec("DROP TABLE audit_records");
    await expect(register(key, { deviceId: "d1" })).rejects.toThrow("audit_unavailable");
    expect(undescribed("/v1/environments/register", "POST", await proxy.handle(request))).toEqual([]);
    expect(await stored()).toEqual(before);
    expect(await store.findEnvironments("default", "d1")).toEqual([]);
  });

  test("an invitation adds its tags to a released device, and does not add them again to a device that it owns", async () => {
    const { register, key, admin, issueKey, proxy, devices, store } = await setUp(["ci", "gpu"]);
    const owner = await issueKey({ scopes: ["connect"] });
    await register(owner.key, { deviceId: "d1" });
    const patch = (tags: readonly string[]) =>
      proxy.handle(
        fakeRequest({
          key: admin.key,
          method: "PATCH",
          path: "/v1/environments/d1",
          body: JSON.stringify({ tags }),
        }),
      );
    await patch(["linux"]);
    await devices(admin.key, "/d1/release", { method: "POST" });
    await register(key, { deviceId: "d1" });
    expect((await store.findEnvironments("default", "d1"))[0]?.tags).toEqual(["ci", "gpu", "linux"]);
    await patch([]);
    await register(key, { deviceId: "d1" });
    expect((await store.findEnvironments("default", "d1"))[0]?.tags).toEqual([]);
  });

  test("an invitation that is limited to names is still limited to them after its first use", async () => {
    const { register, connect, key, stored, store } = await setUp([], ["ci-*"]);
    await expect(register(key, { deviceId: "d1", connectionName: "prod-1" })).rejects.toThrow("device_not_allowed");
    await connect(key, { deviceId: "d1", connectionName: "ci-1" });
    await expect(register(key, { deviceId: "d1", connectionName: "prod-1" })).rejects.toThrow("device_not_allowed");
    await expect(register(key, { deviceId: "d2", connectionName: "ci-2" })).rejects.toThrow("device_not_allowed");
    await expect(connect(key, { deviceId: "d1", connectionName: "ci-3" })).resolves.toEqual([]);
    expect((await store.findEnvironments("default", "d1")).map((row) => row.connectionName)).toEqual(["ci-3"]);
    expect(await stored()).toMatchObject({
      deviceIds: ["d1"],
      connectionNames: null,
      invite: { connectionNames: ["ci-*"] },
      requires: ["invite-names"],
    });
  });

  test("an invitation that is limited to names cannot take over a device with another name, like every key with these names", async () => {
    const { register, key, issueKey, admin, devices, stored } = await setUp([], ["ci-*"]);
    const shared = await issueKey({ scopes: ["connect"], shared: true });
    await register(shared.key, { deviceId: "d1", connectionName: "prod-db" });
    const limited = await issueKey({ scopes: ["connect"], connectionNames: ["ci-*"] });
    for (const other of [limited.key, key, key]) {
      await expect(register(other, { deviceId: "d1", connectionName: "ci-7" })).rejects.toThrow("device_not_allowed");
    }
    expect((await devices(admin.key, "/d1")).devices.map((row) => row.connectionName)).toEqual(["prod-db"]);
    // It is not used up by the refusal.
    expect(await stored()).toMatchObject({ deviceIds: null, connectionNames: ["ci-*"], invite: { usedAt: null } });
    await expect(register(key, { deviceId: "d2", connectionName: "ci-7" })).resolves.toBeTypeOf("string");
  });

  test("an invitation that is limited to names is refused because of the owner for a device with another name that another key owns", async () => {
    const { register, key, issueKey } = await setUp([], ["ci-*"]);
    const owner = await issueKey({ scopes: ["connect"] });
    await register(owner.key, { deviceId: "d1", connectionName: "prod-db" });
    const limited = await issueKey({ scopes: ["connect"], connectionNames: ["ci-*"] });
    for (const other of [limited.key, key]) {
      const registered = register(other, { deviceId: "d1", connectionName: "ci-7" });
      await expect(registered).rejects.toThrow("device_owned_by_another_key");
    }
  });

  test("a device that the tenant may not register does not use up an invitation", async () => {
    const rule = { credential: null, deviceIds: null, connectionNames: ["ci-*"], publicName: null };
    const { register, key, stored } = await setUp([], null, { tenants: new Map([["default", rule]]) });
    await expect(register(key, { deviceId: "d1", connectionName: "prod-1" })).rejects.toThrow("device_not_allowed");
    expect(await stored()).toMatchObject({ deviceIds: null, invite: { usedAt: null } });
    await expect(register(key, { deviceId: "d2", connectionName: "ci-1" })).resolves.toBeTypeOf("string");
  });

  test("an invitation that was used before device names were stored stays valid for its device under any name", async () => {
    const { register, key, record, keyStore } = await setUp();
    await keyStore.update(record.id, ({ invite: _invite, ...present }) => {
      const invite = { expiresAt: 1, tags: [], usedAt: 1 };
      return { ...present, deviceIds: ["d1"], requires: [], invite } as unknown as KeyRecord;
    });
    await expect(register(key, { deviceId: "d2" })).rejects.toThrow("device_not_allowed");
    await expect(register(key, { deviceId: "d1", connectionName: "renamed" })).resolves.toBeTypeOf("string");
  });

  test("an invitation that was revoked or disabled meanwhile is 401", async () => {
    const { register, key, record, keyStore } = await setUp();
    await keyStore.update(record.id, (present) => ({ ...present, disabledAt: 1 }));
    await expect(register(key, { deviceId: "d1" })).rejects.toThrow("invalid_key");
  });

  test("an invitation can only be used for a registration", async () => {
    const { proxy, key } = await setUp();
    const response = await proxy.handle(fakeRequest({ key }));
    expect(problemOf(response).errorCode).toBe("insufficient_scope");
  });
});

describe("administration of invitations", () => {
  test("the administration creates an invitation, and shows how it was used", async () => {
    const { proxy, admin, register, clock } = await setUp();
    const create = (body: object) =>
      proxy.handle(fakeRequest({ key: admin.key, method: "POST", path: "/admin/v1/keys", body: JSON.stringify(body) }));
    const expiresAt = clock.now() + hourMs;
    const invite = { name: "new box", scopes: ["connect"], invite: { expiresAt, tags: ["gpu"] } };
    const created = bodyOf(await create(invite)) as { key: string; id: string; requires: string[] };
    expect(created).toMatchObject({ invite: { expiresAt, tags: ["gpu"], usedAt: null }, requires: ["invite"] });
    await register(created.key, { deviceId: "d7" });
    const shown = await proxy.handle(fakeRequest({ key: admin.key, path: `/admin/v1/keys/${created.id}` }));
    const used = { usedAt: clock.now(), connectionNames: null };
    expect(bodyOf(shown)).toMatchObject({ deviceIds: ["d7"], invite: used, requires: [] });

    for (const [change, member, rule] of [
      [{ scopes: ["connect", "list"] }, "invite", "needs a key whose only scope is connect"],
      [{ deviceIds: ["d1"] }, "invite", "needs a key without deviceIds and deviceTags"],
      [{ shared: true }, "shared", "must be false for an invitation"],
      [{ invite: { expiresAt: clock.now() } }, "invite.expiresAt", "must be in the future"],
    ] as const) {
      const { errors } = problemOf(await create({ ...invite, ...change }));
      expect(errors).toEqual([{ member, rule: expect.stringContaining(rule) }]);
    }
  });

  test("an administering key that is limited to devices or tags cannot create an invitation, because the device is not known", async () => {
    const { proxy, issueKey, clock } = await setUp();
    const invite = { expiresAt: clock.now() + hourMs };
    for (const restriction of [{ deviceIds: ["d1"] }, { deviceTags: ["ci"] }]) {
      const { key } = await issueKey({ scopes: ["admin"], ...restriction });
      const body = JSON.stringify({ name: "n", scopes: ["connect"], invite });
      const response = await proxy.handle(fakeRequest({ key, method: "POST", path: "/admin/v1/keys", body }));
      expect(problemOf(response).errorCode).toBe("grant_not_allowed");
    }
  });
});
