/** Open sockets of devices whose keys are restricted to tags. */
import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { fakeSockets } from "../../test/support/fake-sockets.ts";
import { testMint } from "../../test/support/test-proxy.ts";
import { createMemoryKeyStore } from "../adapters/memory/key-store.ts";
import { toShadowSettings } from "../auth/shadow.ts";
import { createPermissionRules, type PermissionSettings } from "../auth/tenant-guard.ts";
import { createExpiryCheck } from "./credential-expiry.ts";
import { createKey, type KeyRequest } from "./key-lifecycle.ts";
import { credentialIdOf, type KeyRestrictions } from "./key-record.ts";
import { watchSocketKeys } from "./socket-key-watch.ts";

/** A key whose device, with the tag `ci`, holds a socket that is watched. */
async function setUp(more: Partial<KeyRequest> = {}, isInShadow = false) {
  const clock = createVirtualClock();
  const keyStore = createMemoryKeyStore();
  const { record } = createKey({ name: "k", tenant: "default", scopes: ["connect"], ...more }, clock.now(), testMint);
  await keyStore.create(record);
  const row = { tags: ["ci"], isUnreadable: false, reads: 0 };
  const readTags = (): Promise<readonly string[]> => {
    row.reads += 1;
    return row.isUnreadable ? Promise.reject(new Error("disk I/O error")) : Promise.resolve(row.tags);
  };
  const [secret] = record.secrets;
  const credentialId = secret === undefined ? null : credentialIdOf(secret);
  const device = { tenant: "default", keyId: record.id, credentialId, deviceId: "device-1", connectionName: "one" };
  const sockets = fakeSockets([device], [], readTags);
  let settings: PermissionSettings = { approvals: null, shadow: isInShadow ? toShadowSettings([record.id]) : null };
  const failures: unknown[] = [];
  const shadowed: string[] = [];
  await sockets.open(
    watchSocketKeys(sockets, {
      ...{ clock, keyStore, hasExpired: createExpiryCheck(clock), tenants: () => noTenants, tokenSettings: () => null },
      ...createPermissionRules(() => settings),
      onShadowed: ({ deviceId }) => void shadowed.push(deviceId),
      onFailure: (cause) => void failures.push(cause),
    }),
  );
  await clock.advance(100);
  return {
    clock,
    row,
    failures,
    shadowed,
    isOpen: () => sockets.connectedDevices().length === 1,
    async endShadow() {
      settings = { ...settings, shadow: null };
      await clock.advance(100);
    },
    async patch(members: Partial<KeyRestrictions>) {
      await keyStore.update(record.id, (before) => ({ ...before, ...members }));
      await clock.advance(100);
    },
  };
}

const noTenants = new Map();

test("the socket of a device closes within 100 ms after its key is restricted to tags that the device does not have", async () => {
  const { patch, isOpen } = await setUp();
  await patch({ description: "no permission" });
  expect(isOpen()).toBe(true);
  await patch({ deviceTags: ["gpu"] });
  expect(isOpen()).toBe(false);
});

test("the socket of a device stays open when its key is restricted to a tag of the device, and when the device loses the tag later", async () => {
  const { patch, isOpen, row } = await setUp();
  await patch({ deviceTags: ["ci", "gpu"] });
  row.tags = [];
  await patch({ description: "checked again" });
  expect(isOpen()).toBe(true);
  await patch({ deviceTags: ["gpu"] });
  expect(isOpen()).toBe(false);
});

test("the socket of a device that has lost its tag stays open when its key gets the same tags or more, and closes when it gets other ones", async () => {
  const { patch, isOpen, row } = await setUp({ deviceTags: ["ci", "gpu"] });
  row.tags = [];
  await patch({ deviceTags: ["gpu", "ci"] });
  await patch({ deviceTags: ["gpu", "more", "ci"] });
  await patch({ deviceTags: null });
  expect([isOpen(), row.reads]).toEqual([true, 1]);
  await patch({ deviceTags: ["ci", "gpu"] });
  expect([isOpen(), row.reads]).toEqual([false, 2]);
});

test("shadow mode keeps the socket of a device without the tags of its key open, and reports it once, until shadow mode ends", async () => {
  const { isOpen, endShadow, patch, row, shadowed } = await setUp({ deviceTags: ["gpu"] }, true);
  await patch({ description: "checked again" });
  await patch({ deviceTags: ["other"] });
  expect([isOpen(), shadowed, row.reads]).toEqual([true, ["device-1"], 1]);
  await endShadow();
  expect([isOpen(), shadowed]).toEqual([false, ["device-1"]]);
});

test("shadow mode does not report a device that has a tag of its key, until the key is restricted to other tags", async () => {
  const { isOpen, patch, row, shadowed } = await setUp({ deviceTags: ["ci"] }, true);
  await patch({ description: "checked again" });
  expect([isOpen(), shadowed, row.reads]).toEqual([true, [], 1]);
  await patch({ deviceTags: ["gpu"] });
  expect([isOpen(), shadowed]).toEqual([true, ["device-1"]]);
});

test("the socket of a device that loses its tag in shadow mode stays open when shadow mode ends, as it would without shadow mode", async () => {
  const { isOpen, endShadow, row, shadowed } = await setUp({ deviceTags: ["ci"] }, true);
  row.tags = [];
  await endShadow();
  expect([isOpen(), shadowed, row.reads]).toEqual([true, [], 1]);
});

test("a failed read of the tags of a device is repeated, and closes no socket", async () => {
  const { clock, patch, isOpen, row, failures } = await setUp();
  row.isUnreadable = true;
  await patch({ deviceTags: ["gpu"] });
  expect([isOpen(), failures]).toEqual([true, [new Error("disk I/O error")]]);
  row.isUnreadable = false;
  await clock.advance(1_100);
  expect(isOpen()).toBe(false);
});
