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
  const row = { tags: ["ci"], isUnreadable: false };
  const readTags = (): Promise<readonly string[]> =>
    row.isUnreadable ? Promise.reject(new Error("disk I/O error")) : Promise.resolve(row.tags);
  const [secret] = record.secrets;
  const credentialId = secret === undefined ? null : credentialIdOf(secret);
  const device = { tenant: "default", keyId: record.id, credentialId, deviceId: "device-1", connectionName: "one" };
  const sockets = fakeSockets([device], [], readTags);
  let settings: PermissionSettings = { approvals: null, shadow: isInShadow ? toShadowSettings([record.id]) : null };
  const failures: unknown[] = [];
  await sockets.open(
    watchSocketKeys(sockets, {
      ...{ clock, keyStore, hasExpired: createExpiryCheck(clock), tenants: () => noTenants, tokenSettings: () => null },
      ...createPermissionRules(() => settings),
      onFailure: (cause) => void failures.push(cause),
    }),
  );
  await clock.advance(100);
  return {
    clock,
    row,
    failures,
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

test("shadow mode keeps the socket of a device open that has no tag of its key", async () => {
  const { isOpen, endShadow } = await setUp({ deviceTags: ["gpu"] }, true);
  expect(isOpen()).toBe(true);
  await endShadow();
  expect(isOpen()).toBe(false);
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
