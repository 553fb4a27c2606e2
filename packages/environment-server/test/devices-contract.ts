import { beforeEach, describe, expect, test } from "vitest";
import type { DeviceFilter, Enrolment, EnvironmentStore } from "../src/index.ts";
import { enrolment } from "./enrolment.ts";

const everything: DeviceFilter = { tenant: null, deviceId: null, afterId: null, limit: 100 };
const always = (): boolean => true;

/** The contract suite of a store's administration of devices. */
export function describeDevicesContract(name: string, createStore: () => EnvironmentStore): void {
  describe(`administration of devices: ${name}`, () => {
    let store: EnvironmentStore;
    beforeEach(() => {
      store = createStore();
    });
    const enrol = (change: Partial<Enrolment> = {}): ReturnType<EnvironmentStore["enrol"]> =>
      store.enrol({ ...enrolment, ...change });
    const ownersOf = async (filter: Partial<DeviceFilter> = {}): Promise<readonly unknown[]> =>
      (await store.listDevices({ ...everything, ...filter })).map(({ id, ownerKeyId, shared }) => [
        id,
        shared ? "shared" : ownerKeyId,
      ]);

    /** Two listeners of one device, a shared device, and the same device of another tenant. */
    async function enrolSeveral(): Promise<void> {
      await enrol();
      await enrol({ listenerInstanceId: "second", environmentId: "env-2", connectionId: "conn-2" });
      await enrol({ deviceId: "device-2", shared: true, environmentId: "env-3", connectionId: "conn-3" });
      await enrol({ tenant: "other", keyId: "key-9", environmentId: "env-4", connectionId: "conn-4" });
    }

    test("listDevices returns every row with the key that owns it, by id, and as many as the filter selects", async () => {
      await enrolSeveral();
      const owned = [
        ["env-1", "key-1"],
        ["env-2", "key-1"],
      ];
      expect(await ownersOf()).toEqual([...owned, ["env-3", "shared"], ["env-4", "key-9"]]);
      expect(await ownersOf({ tenant: "acme", deviceId: "device-1" })).toEqual(owned);
      expect(await ownersOf({ tenant: "other" })).toEqual([["env-4", "key-9"]]);
      expect(await ownersOf({ afterId: "env-1", limit: 2 })).toEqual([
        ["env-2", "key-1"],
        ["env-3", "shared"],
      ]);
    });

    test("after a release the next key that enrols the device owns it, and the earlier owner does not", async () => {
      await enrolSeveral();
      const released = await store.releaseDevice("acme", "device-1", always);
      expect(released?.map(({ id, ownerKeyId }) => [id, ownerKeyId])).toEqual([
        ["env-1", "key-1"],
        ["env-2", "key-1"],
      ]);
      expect(await ownersOf({ tenant: "acme", deviceId: "device-1" })).toEqual([
        ["env-1", null],
        ["env-2", null],
      ]);
      expect(await enrol({ keyId: "key-2", connectionId: "conn-5" })).toEqual({
        kind: "enrolled",
        environmentId: "env-1",
      });
      expect(await enrol({ connectionId: "conn-6" })).toEqual({ kind: "owned_by_another_key" });
      expect(await ownersOf({ tenant: "other" })).toEqual([["env-4", "key-9"]]);
    });

    test("a key that is restricted to names takes over a released device only if its names match", async () => {
      await enrol();
      await store.releaseDevice("acme", "device-1", always);
      const other = { keyId: "key-2", connectionName: "ci-1", connectionId: "conn-2" };
      expect(await enrol({ ...other, knownNames: ["ci-*"] })).toEqual({ kind: "not_allowed" });
      expect(await enrol({ ...other, knownNames: ["ci-*", "box"] })).toMatchObject({ kind: "enrolled" });
    });

    test("releasing a shared device changes nothing: every key may enrol it as before", async () => {
      await enrol({ shared: true });
      expect(await store.releaseDevice("acme", "device-1", always)).toHaveLength(1);
      expect(await enrol({ keyId: "key-2", connectionId: "conn-2" })).toMatchObject({ kind: "enrolled" });
      expect(await enrol({ keyId: "key-1", connectionId: "conn-3" })).toMatchObject({ kind: "enrolled" });
    });

    test("removeDevice removes every row and connection of the device in its tenant, and nothing else", async () => {
      await enrolSeveral();
      expect(await store.removeDevice("acme", "device-1", always)).toHaveLength(2);
      expect(await ownersOf()).toEqual([
        ["env-3", "shared"],
        ["env-4", "key-9"],
      ]);
      expect(await store.findRemovedConnections(["conn-1", "conn-2", "conn-3", "conn-4"])).toEqual([
        "conn-1",
        "conn-2",
      ]);
      expect(await store.findConnection("acme", "conn-1")).toBeNull();
      expect(await enrol({ keyId: "key-2", environmentId: "env-5", connectionId: "conn-5" })).toEqual({
        kind: "enrolled",
        environmentId: "env-5",
      });
    });

    test("removeDevice of one row keeps the device and its owner, until the last row is removed", async () => {
      await enrolSeveral();
      const removed = await store.removeDevice("acme", "device-1", always, "env-1");
      expect(removed?.map(({ id }) => id)).toEqual(["env-1"]);
      expect(await ownersOf({ tenant: "acme", deviceId: "device-1" })).toEqual([["env-2", "key-1"]]);
      expect(await store.findRemovedConnections(["conn-1", "conn-2"])).toEqual(["conn-1"]);
      expect(await store.removeDevice("acme", "device-1", always, "env-1")).toBeNull();
      expect(await store.removeDevice("acme", "device-1", always, "env-3")).toBeNull();
      expect(await enrol({ keyId: "key-2", connectionId: "conn-5" })).toEqual({ kind: "owned_by_another_key" });
      expect(await store.removeDevice("acme", "device-1", always, "env-2")).toHaveLength(1);
      expect(await enrol({ keyId: "key-2", environmentId: "env-5", connectionId: "conn-6" })).toMatchObject({
        kind: "enrolled",
      });
    });

    const labelsOf = async (deviceId = "device-1"): Promise<readonly unknown[]> =>
      (await store.findEnvironments("acme", deviceId)).map(({ id, displayName, tags }) => [id, displayName, tags]);

    test("labelDevice labels every row of a device, and a later row of it gets the same labels", async () => {
      await enrolSeveral();
      expect(await labelsOf()).toEqual([
        ["env-1", null, []],
        ["env-2", null, []],
      ]);
      await store.labelDevice("acme", "device-1", { displayName: "Büro", tags: ["linux", "ci", "ci"] }, always);
      await enrol({ connectionName: "renamed", connectionId: "conn-5" });
      await enrol({ listenerInstanceId: "third", environmentId: "env-5", connectionId: "conn-6" });
      expect(await labelsOf()).toEqual(
        expect.arrayContaining([
          ["env-1", "Büro", ["ci", "linux"]],
          ["env-2", "Büro", ["ci", "linux"]],
          ["env-5", "Büro", ["ci", "linux"]],
        ]),
      );
      expect(await labelsOf("device-2")).toEqual([["env-3", null, []]]);
      const filter = { tenant: "acme", afterId: null, environmentIds: null, deviceIds: null, owner: null, limit: 10 };
      expect((await store.listNames(filter)).map(({ tags }) => tags.join())).toEqual([
        "ci,linux",
        "ci,linux",
        "",
        "ci,linux",
      ]);
    });

    test("labels survive a release, but not a removal", async () => {
      await enrol();
      await store.labelDevice("acme", "device-1", { tags: ["ci"] }, always);
      await store.labelDevice("acme", "device-1", { displayName: "Box" }, always);
      await store.releaseDevice("acme", "device-1", always);
      await enrol({ keyId: "key-2", connectionId: "conn-2" });
      expect(await labelsOf()).toEqual([["env-1", "Box", ["ci"]]]);
      await store.labelDevice("acme", "device-1", { displayName: null }, always);
      expect(await labelsOf()).toEqual([["env-1", null, ["ci"]]]);
      await store.removeDevice("acme", "device-1", always);
      await enrol({ keyId: "key-2", environmentId: "env-2", connectionId: "conn-3" });
      expect(await labelsOf()).toEqual([["env-2", null, []]]);
    });

    test("the labels of an enrolment apply to a device that becomes the key's own, not to one that it already owns", async () => {
      const labels = { displayName: "CI", tags: ["ci"] };
      await enrol({ labels });
      expect(await labelsOf()).toEqual([["env-1", "CI", ["ci"]]]);
      await store.labelDevice("acme", "device-1", { displayName: null, tags: ["gpu"] }, always);
      await enrol({ labels, connectionId: "conn-2" });
      expect(await labelsOf()).toEqual([["env-1", null, ["gpu"]]]);
      await store.releaseDevice("acme", "device-1", always);
      await enrol({ labels, keyId: "key-2", connectionId: "conn-3" });
      expect(await labelsOf()).toEqual([["env-1", "CI", ["ci", "gpu"]]]);
      expect(await enrol({ labels: { displayName: null, tags: ["x"] }, connectionId: "conn-4" })).toEqual({
        kind: "owned_by_another_key",
      });
      expect(await labelsOf()).toEqual([["env-1", "CI", ["ci", "gpu"]]]);
    });

    test.each(["releaseDevice", "removeDevice"] as const)(
      "%s sees every row of the device, and changes nothing unless it is permitted",
      async (change) => {
        await enrolSeveral();
        const before = await ownersOf();
        const seen: string[] = [];
        const refuse = (rows: readonly { readonly id: string }[]): boolean => {
          seen.push(...rows.map(({ id }) => id));
          return false;
        };
        expect(await store[change]("acme", "device-1", refuse)).toBeNull();
        expect(await store[change]("acme", "unknown", always)).toBeNull();
        expect(await store[change]("nobody", "device-1", always)).toBeNull();
        expect([seen, await ownersOf()]).toEqual([["env-1", "env-2"], before]);
      },
    );
  });
}
