/** Random requests of administering keys about devices, compared with a model of the access rules. */
import fc from "fast-check";
import { expect, test } from "vitest";
import type { KeyRecord } from "../src/keys/key-record.ts";
import { anyKey, deviceIds, mayKnow, type ModelDevice, suffixes } from "./support/access-model.ts";
import { createDeviceAdministrationProxy, type DeviceAdministrationProxy } from "./support/device-administration.ts";

const tenants = ["t1", "t2"] as const;
const runs = 60;

const device = fc.record({
  tenant: fc.constantFrom(...tenants),
  deviceId: fc.constantFrom(...deviceIds),
  suffix: fc.constantFrom(...suffixes),
  instance: fc.constantFrom("default", "second"),
});
const step = fc.record({
  caller: fc.nat(5),
  verb: fc.constantFrom("list", "read", "release", "remove"),
  deviceId: fc.constantFrom(...deviceIds),
  tenant: fc.constantFrom(null, ...tenants),
});

interface Row extends ModelDevice {
  readonly id: string;
  readonly ownerKeyId: string | null;
}

async function rowsOf({ store }: DeviceAdministrationProxy): Promise<readonly Row[]> {
  const rows = await store.listDevices({ tenant: null, deviceId: null, afterId: null, limit: null });
  return rows.map((row) => ({ ...row, currentMode: null }));
}

/** Performs one step and compares its result with the model. Returns whether something changed. */
async function perform(
  world: DeviceAdministrationProxy,
  { key, record }: { readonly key: string; readonly record: KeyRecord },
  { verb, deviceId, tenant }: typeof step extends fc.Arbitrary<infer Value> ? Value : never,
): Promise<boolean> {
  const before = await rowsOf(world);
  const query = tenant === null ? "" : `tenant=${tenant}`;
  const call = {
    list: () => world.devices(key, "", { query }),
    read: () => world.devices(key, `/${deviceId}`, { query }),
    release: () => world.devices(key, `/${deviceId}/release`, { method: "POST", query }),
    remove: () => world.devices(key, `/${deviceId}`, { method: "DELETE", query }),
  };
  const answer = await call[verb]();
  const after = await rowsOf(world);

  const mayAdminister = record.scopes.includes("admin");
  for (const row of before) {
    // No response contains a row that the key may not know, whatever is asked.
    if (!mayAdminister || !mayKnow(record, row)) expect(answer.text).not.toContain(row.id);
  }
  const ofTenant = (row: Row): boolean => row.tenant === (tenant ?? record.tenant);
  if (mayAdminister && verb === "list") {
    const known = before.filter((row) => mayKnow(record, row) && ofTenant(row));
    expect(answer.devices.map(({ id }) => id).toSorted()).toEqual(known.map(({ id }) => id).toSorted());
  }

  const changed = before.filter((row) => {
    const now = after.find(({ id }) => id === row.id);
    return now === undefined || now.ownerKeyId !== row.ownerKeyId;
  });
  expect(after.filter(({ id }) => !before.some((row) => row.id === id))).toEqual([]);
  if (answer.status >= 400 || verb === "list" || verb === "read") expect(changed).toEqual([]);
  for (const row of changed) {
    expect([mayAdminister, row.deviceId, ofTenant(row)]).toEqual([true, deviceId, true]);
    // A device is changed as a whole, so the key must be allowed to know all its rows.
    const whole = before.filter((other) => other.tenant === row.tenant && other.deviceId === row.deviceId);
    expect(whole.every((other) => mayKnow(record, other))).toBe(true);
  }
  return changed.length > 0;
}

test("no administering key sees or changes a device outside its tenant and restrictions, and a change affects only one device", async () => {
  let changes = 0;
  await fc.assert(
    fc.asyncProperty(
      fc.array(anyKey(tenants, ["admin", "list"]), { minLength: 2, maxLength: 4 }),
      fc.array(device, { minLength: 3, maxLength: 8 }),
      fc.array(step, { minLength: 8, maxLength: 20 }),
      async (requests, devices, steps) => {
        const world = await createDeviceAdministrationProxy();
        const issued = await Promise.all(requests.map((request) => world.issueKey(request)));
        const owners = new Map<string, string>();
        for (const { tenant, deviceId, suffix, instance } of devices) {
          const owner = owners.get(tenant) ?? (await world.issueKey({ tenant, scopes: ["connect"] })).key;
          owners.set(tenant, owner);
          await world.register(owner, { deviceId, connectionName: `box-${suffix}`, instance });
        }
        for (const taken of steps) {
          const caller = issued[taken.caller % issued.length];
          if (caller !== undefined && (await perform(world, caller, taken))) changes += 1;
        }
      },
    ),
    { numRuns: runs },
  );
  // The calls do change devices: a property of nothing but refusals would say nothing.
  expect(changes).toBeGreaterThan(runs / 2);
});
