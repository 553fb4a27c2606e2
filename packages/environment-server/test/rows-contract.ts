import { beforeEach, describe, expect, test } from "vitest";
import type { Enrolment, EnvironmentFilter, EnvironmentStore } from "../src/index.ts";
import { enrolment as anyEnrolment } from "./enrolment.ts";

const hourMs = 3_600_000;

const enrolment: Enrolment = { ...anyEnrolment, metadata: { os: "linux" } };

const everything: EnvironmentFilter = {
  tenant: "acme",
  afterId: null,
  environmentIds: null,
  deviceIds: null,
  owner: null,
  limit: 100,
};

/** The contract suite of a store's rows and registrations. */
export function describeRowsContract(name: string, createStore: () => EnvironmentStore): void {
  describe(`rows and registrations: ${name}`, () => {
    let store: EnvironmentStore;
    beforeEach(() => {
      store = createStore();
    });
    const enrol = (change: Partial<Enrolment> = {}): ReturnType<EnvironmentStore["enrol"]> =>
      store.enrol({ ...enrolment, ...change });

    test("findConnection returns everything that the device registered", async () => {
      expect(await enrol()).toEqual({ kind: "enrolled", environmentId: "env-1" });
      expect(await store.findConnection("acme", "conn-1")).toEqual({
        connectionId: "conn-1",
        generation: 1,
        keyId: "key-1",
        opened: false,
        replaced: false,
        latest: true,
        environment: {
          id: "env-1",
          tenant: "acme",
          deviceId: "device-1",
          listenerInstanceId: "default",
          connectionName: "box",
          metadata: { os: "linux" },
          owner: "ada",
          firstSeenAt: 1_000,
          lastSeenAt: 1_000,
          currentMode: null,
          workingDirectory: null,
          gitBranch: null,
          displayName: null,
          tags: [],
        },
      });
    });

    test("findConnection returns null for another tenant's connection", async () => {
      await enrol();
      expect(await store.findConnection("other", "conn-1")).toBeNull();
      expect(await store.listEnvironments({ ...everything, tenant: "other" })).toEqual([]);
    });

    test("findEnvironments returns every listener of a device, and nothing of another device or tenant", async () => {
      await enrol();
      await enrol({ listenerInstanceId: "second", environmentId: "env-2", connectionId: "conn-2" });
      await enrol({ deviceId: "another", environmentId: "env-3", connectionId: "conn-3" });
      const [row] = await store.listEnvironments(everything);
      const found = await store.findEnvironments("acme", row?.deviceId ?? "");
      expect(found.map(({ id }) => id).toSorted()).toEqual(["env-1", "env-2"]);
      expect(found).toContainEqual(row);
      expect(await store.findEnvironments("other", row?.deviceId ?? "")).toEqual([]);
    });

    test("a device that registers again keeps its row and firstSeenAt, and gets the newer name and metadata", async () => {
      await enrol();
      const again = {
        connectionId: "conn-2",
        environmentId: "env-2",
        connectionName: "renamed",
        metadata: null,
        nowMs: 5_000,
      };
      expect(await enrol(again)).toEqual({ kind: "enrolled", environmentId: "env-1" });
      const rows = await store.listEnvironments(everything);
      expect(rows).toMatchObject([
        { id: "env-1", connectionName: "renamed", metadata: null, firstSeenAt: 1_000, lastSeenAt: 5_000 },
      ]);
    });

    test("the first enrolment of a device determines its owner for all its listeners, and a refused enrolment changes nothing", async () => {
      await enrol();
      const foreign = {
        keyId: "key-2",
        owner: "bob",
        connectionId: "conn-2",
        connectionName: "stolen",
        environmentId: "env-2",
      };
      expect(await enrol(foreign)).toEqual({ kind: "owned_by_another_key" });
      expect(await enrol({ ...foreign, listenerInstanceId: "second" })).toEqual({ kind: "owned_by_another_key" });
      expect(await store.findConnection("acme", "conn-2")).toBeNull();
      expect(await store.listEnvironments(everything)).toMatchObject([
        { id: "env-1", connectionName: "box", owner: "ada" },
      ]);
    });

    test("the same deviceId in another tenant is another device", async () => {
      await enrol();
      const elsewhere = { tenant: "other", keyId: "key-2", environmentId: "env-2", connectionId: "conn-2" };
      expect(await enrol(elsewhere)).toEqual({ kind: "enrolled", environmentId: "env-2" });
    });

    test("a device first enrolled by a shared key may be enrolled by any key, and a later key does not become its owner", async () => {
      await enrol({ shared: true });
      expect(await enrol({ keyId: "key-2", connectionId: "conn-2" })).toMatchObject({ kind: "enrolled" });
      expect(await enrol({ keyId: "key-3", connectionId: "conn-3" })).toMatchObject({ kind: "enrolled" });
    });

    test("a key cannot enrol a shared device with a name outside its patterns, under any new name", async () => {
      await enrol({ shared: true, connectionName: "prod-1" });
      await enrol({
        shared: true,
        connectionName: "ci-1",
        listenerInstanceId: "two",
        environmentId: "env-2",
        connectionId: "conn-2",
      });
      const other = { keyId: "key-2", connectionName: "ci-2", connectionId: "conn-3", environmentId: "env-3" };
      for (const listenerInstanceId of ["default", "two", "three"]) {
        expect(await enrol({ ...other, listenerInstanceId, knownNames: ["ci-*"] })).toEqual({ kind: "not_allowed" });
      }
      expect(await store.listEnvironments(everything)).toMatchObject([
        { connectionName: "prod-1" },
        { connectionName: "ci-1" },
      ]);
      expect(await enrol({ ...other, knownNames: ["ci-*", "prod-*"] })).toMatchObject({ kind: "enrolled" });
    });

    test("name patterns do not prevent a key from enrolling a deviceId that it owns, a new one, or one of another tenant", async () => {
      await enrol({ connectionName: "old-1" });
      const knownNames = ["ci-*"];
      expect(await enrol({ connectionName: "ci-1", connectionId: "conn-2", knownNames })).toMatchObject({
        kind: "enrolled",
      });
      expect(await enrol({ keyId: "key-2", connectionId: "conn-3", knownNames })).toEqual({
        kind: "owned_by_another_key",
      });
      const elsewhere = { tenant: "other", environmentId: "env-4", connectionId: "conn-4", knownNames };
      expect(await enrol(elsewhere)).toMatchObject({ kind: "enrolled" });
    });

    test("a key at its limit enrols no new row, still enrols known devices, and does not affect other keys", async () => {
      await enrol({ maxEnvironments: 1 });
      const other = { deviceId: "device-2", environmentId: "env-2", connectionId: "conn-2", maxEnvironments: 1 };
      expect(await enrol(other)).toEqual({ kind: "too_many_environments" });
      expect(await enrol({ connectionId: "conn-3", maxEnvironments: 1 })).toMatchObject({ kind: "enrolled" });
      // The refused device has no owner.
      expect(await enrol({ ...other, keyId: "key-2" })).toMatchObject({ kind: "enrolled" });
    });

    test("a shared row counts for the key that registered it last", async () => {
      await enrol({ shared: true, maxEnvironments: 1 });
      await enrol({ keyId: "key-2", connectionId: "conn-2", maxEnvironments: 1 });
      const second = { deviceId: "device-2", environmentId: "env-2", maxEnvironments: 1 };
      expect(await enrol({ ...second, keyId: "key-2", connectionId: "conn-3" })).toEqual({
        kind: "too_many_environments",
      });
      expect(await enrol({ ...second, connectionId: "conn-4" })).toMatchObject({ kind: "enrolled" });
      expect(await enrol({ connectionId: "conn-5", maxEnvironments: 1 })).toEqual({ kind: "too_many_environments" });
    });

    test("listNames returns ids, names and tags of the rows that listEnvironments returns", async () => {
      for (const number of [2, 1, 3]) {
        await enrol({ deviceId: `device-${number}`, environmentId: `env-${number}`, connectionId: `conn-${number}` });
      }
      const filter = { ...everything, afterId: "env-1", environmentIds: ["env-1", "env-2", "env-3"], limit: 1 };
      expect(await store.listNames(filter)).toEqual([
        { id: "env-2", deviceId: "device-2", connectionName: "box", tags: [] },
      ]);
      expect((await store.listNames(everything)).map(({ id }) => id)).toEqual(["env-1", "env-2", "env-3"]);
    });

    test("idle rows are found by the time they were last seen, and a removed device leaves nothing, not even an owner", async () => {
      await enrol({ nowMs: 3_000 });
      await enrol({ listenerInstanceId: "second", environmentId: "env-2", connectionId: "conn-2", nowMs: 1_000 });
      await enrol({ deviceId: "device-3", environmentId: "env-3", connectionId: "conn-3", nowMs: 2_000 });
      const idle = async (seenAt: number, limit: number): Promise<string[]> =>
        (await store.findIdleEnvironments(seenAt, limit)).map(({ id }) => id);
      expect(await idle(2_000, 9)).toEqual(["env-2", "env-3"]);
      expect(await idle(2_000, 1)).toEqual(["env-2"]);
      await store.removeEnvironments(["env-2", "env-3"]);
      expect(await store.findConnection("acme", "conn-2")).toBeNull();
      const foreign = { keyId: "key-2", connectionId: "conn-4", environmentId: "env-4" };
      expect(await enrol(foreign)).toEqual({ kind: "owned_by_another_key" });
      expect(await enrol({ ...foreign, deviceId: "device-3" })).toMatchObject({ kind: "enrolled" });
    });

    test("a registration replaces the earlier ones of its row when its socket opens", async () => {
      await enrol();
      await enrol({ deviceId: "device-2", environmentId: "env-2", connectionId: "conn-other" });
      await store.openConnection("conn-1", 2_000, 2_000);
      await enrol({ connectionId: "conn-2" });
      expect(await store.findConnection("acme", "conn-1")).toMatchObject({
        opened: true,
        replaced: false,
        latest: false,
      });
      expect(await store.findConnection("acme", "conn-2")).toMatchObject({
        generation: 2,
        opened: false,
        latest: true,
      });
      await store.openConnection("conn-2", 3_000, 3_000);
      expect(await store.findConnection("acme", "conn-1")).toMatchObject({ replaced: true, latest: false });
      expect(await store.findConnection("acme", "conn-2")).toMatchObject({ opened: true, replaced: false });
      expect(await store.findConnection("acme", "conn-other")).toMatchObject({ replaced: false, latest: true });
    });

    test("a status survives a reconnect and is cleared when another registration opens", async () => {
      await enrol();
      await store.openConnection("conn-1", 2_000, 2_000);
      const status = { currentMode: "standard", workingDirectory: "/code", gitBranch: "main" };
      await store.saveStatus("env-1", status);
      await store.openConnection("conn-1", 3_000, 3_000);
      expect(await store.listEnvironments(everything)).toMatchObject([{ ...status, lastSeenAt: 3_000 }]);
      await enrol({ connectionId: "conn-2" });
      await store.openConnection("conn-2", 4_000, 4_000);
      expect(await store.listEnvironments(everything)).toMatchObject([
        { currentMode: null, workingDirectory: null, gitBranch: null },
      ]);
    });

    test("lastSeenAt never goes back", async () => {
      await enrol();
      await store.saveLastSeen([{ environmentId: "env-1", lastSeenAt: 9_000 }]);
      await store.saveLastSeen([{ environmentId: "env-1", lastSeenAt: 8_000 }]);
      expect(await store.listEnvironments(everything)).toMatchObject([{ lastSeenAt: 9_000 }]);
    });

    test("listEnvironments returns rows ordered by id that match every condition of the filter", async () => {
      for (const number of [3, 1, 2, 4]) {
        await enrol({
          deviceId: `device-${number}`,
          environmentId: `env-${number}`,
          connectionId: `conn-${number}`,
          owner: number % 2 === 0 ? "even" : "odd",
        });
      }
      const ids = async (change: Partial<EnvironmentFilter>): Promise<string[]> =>
        (await store.listEnvironments({ ...everything, ...change })).map((row) => row.id);
      expect(await ids({})).toEqual(["env-1", "env-2", "env-3", "env-4"]);
      expect(await ids({ afterId: "env-2" })).toEqual(["env-3", "env-4"]);
      expect(await ids({ limit: 2 })).toEqual(["env-1", "env-2"]);
      expect(await ids({ owner: "even" })).toEqual(["env-2", "env-4"]);
      expect(await ids({ deviceIds: ["device-1", "device-4"] })).toEqual(["env-1", "env-4"]);
      expect(await ids({ environmentIds: [] })).toEqual([]);
      expect(await ids({ environmentIds: ["env-2", "env-4"], deviceIds: ["device-4"], owner: "even" })).toEqual([
        "env-4",
      ]);
    });

    test("a replaced connectionId is kept for 24 hours, the current one without limit", async () => {
      await enrol();
      await enrol({ connectionId: "conn-2" });
      await store.openConnection("conn-2", 1_000, 1_000);
      await store.prune(999 + 24 * hourMs, 10);
      expect(await store.findConnection("acme", "conn-1")).toMatchObject({ replaced: true });
      await store.prune(1_000 + 24 * hourMs, 10);
      expect(await store.findConnection("acme", "conn-1")).toBeNull();
      expect(await store.findConnection("acme", "conn-2")).toMatchObject({ opened: true });
    });

    test("a device that registers repeatedly does not fill the store, and keeps its open connection", async () => {
      await enrol();
      await store.openConnection("conn-1", 1_000, 1_000);
      for (let number = 2; number <= 150; number++) await enrol({ connectionId: `conn-${number}` });
      expect(await store.findConnection("acme", "conn-1")).toMatchObject({ opened: true, replaced: false });
      expect(await store.findConnection("acme", "conn-2")).toBeNull();
      expect(await store.findConnection("acme", "conn-150")).toMatchObject({ generation: 150, latest: true });
    });
  });
}
