import type { ConnectedDevice, DeviceSocketListener } from "@letta-environments/environment-server";
import type { DeviceAllowlist, PlainRequest, Principal } from "@letta-environments/schema";
import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { testMint } from "../../test/support/test-proxy.ts";
import { createMemoryKeyStore } from "../adapters/memory-key-store.ts";
import { disableKey, revokeKey } from "./change-key.ts";
import { createKey, type KeyRequest } from "./create-key.ts";
import type { KeyRecord } from "./key-record.ts";
import { watchSocketKeys } from "./watch-socket-keys.ts";

const listener: DeviceSocketListener = { maxFrameBytes: 0, onMessage: () => undefined, onClose: () => undefined };
const socket = { send: () => undefined, close: () => undefined, terminate: () => undefined };
const request: PlainRequest = { method: "GET", path: "/", query: "", headers: {}, body: null };

/** A key whose device holds a socket that is watched. */
async function setUp(more: Partial<KeyRequest> = {}, isDown = false) {
  const clock = createVirtualClock();
  const keyStore = createMemoryKeyStore();
  const wanted = { name: "k", tenant: "default", scopes: ["connect"] as const, ...more };
  const { record } = createKey(wanted, clock.now(), testMint);
  await keyStore.create(record);
  const failures: unknown[] = [];
  let reads = 0;
  let asked = 0;
  const store = { isDown };
  const watchedStore = {
    ...keyStore,
    async find(id: string) {
      reads += 1;
      if (store.isDown) throw new Error("down");
      return keyStore.find(id);
    },
    // As a store does that has had no answer for long: nothing that was read before is to be trusted.
    generation: () => (store.isDown ? 1_000 + (asked += 1) : keyStore.generation()),
  };
  let devices: ConnectedDevice[] = [];
  let tenants: ReadonlyMap<string, DeviceAllowlist> = new Map();
  const sockets = watchSocketKeys(
    {
      upgrade: () => Promise.resolve({ kind: "accepted", attach: () => listener }),
      connectedDevices: () => devices,
      closeEnded(isEnded) {
        devices = devices.filter((device) => !isEnded(device));
      },
    },
    { clock, keyStore: watchedStore, tenants: () => tenants, onFailure: (cause) => void failures.push(cause) },
  );
  const decision = await sockets.upgrade(request, {} as Principal);
  devices = [{ tenant: "default", keyId: record.id, deviceId: "device-1", connectionName: "one" }];
  if (decision.kind === "accepted") decision.attach(socket);
  await clock.advance(100);
  return {
    clock,
    failures,
    store,
    record,
    reads: () => reads,
    isOpen: () => devices.length === 1,
    holdTenants: (held: typeof tenants) => void (tenants = held),
    change: (edit: (before: KeyRecord) => KeyRecord) => keyStore.update(record.id, edit),
  };
}

test.each<[string, (record: KeyRecord) => KeyRecord]>([
  ["is revoked", (record) => revokeKey(record, 1)],
  ["is disabled", (record) => disableKey(record, 1)],
  ["may no longer connect", (record) => ({ ...record, scopes: ["list"] })],
  ["is held to other devices", (record) => ({ ...record, deviceIds: ["device-2"] })],
])("a socket is closed within 100 ms after its key %s", async (_what, edit) => {
  const { clock, change, isOpen } = await setUp();
  expect(isOpen()).toBe(true);
  await change(edit);
  await clock.advance(100);
  expect(isOpen()).toBe(false);
});

test("a socket is closed within 100 ms after its tenant is held to other devices, and not before", async () => {
  const { clock, holdTenants, isOpen } = await setUp();
  holdTenants(new Map([["default", { deviceIds: ["device-1"], connectionNames: null }]]));
  await clock.advance(100);
  expect(isOpen()).toBe(true);
  holdTenants(new Map([["default", { deviceIds: ["device-2"], connectionNames: null }]]));
  await clock.advance(100);
  expect(isOpen()).toBe(false);
});

test("a socket is closed when its key expires, although nobody changes anything", async () => {
  const { clock, isOpen } = await setUp({ expiresAt: createVirtualClock().now() + 10_000 });
  await clock.advance(9_000);
  expect(isOpen()).toBe(true);
  await clock.advance(1_000);
  expect(isOpen()).toBe(false);
});

test("a change that leaves the key good leaves the socket open, and an idle store is not read", async () => {
  const { clock, change, isOpen, reads } = await setUp();
  await change((record) => ({ ...record, description: "same" }));
  await clock.advance(1_000);
  expect(isOpen()).toBe(true);
  const before = reads();
  await clock.advance(60_000);
  expect(reads()).toBe(before);
});

test("a store that fails is asked again, and the end of a key is not missed", async () => {
  const { clock, change, failures, isOpen, store } = await setUp();
  store.isDown = true;
  await change((record) => revokeKey(record, 1));
  await clock.advance(1_000);
  expect([failures.length > 0, isOpen()]).toEqual([true, true]);
  store.isDown = false;
  await clock.advance(1_100);
  expect(isOpen()).toBe(false);
});

test("a store that fails when a socket opens is asked again, and the key's expiry is not missed", async () => {
  const { clock, isOpen, store } = await setUp({ expiresAt: createVirtualClock().now() + 10_000 }, true);
  store.isDown = false;
  await clock.advance(9_000);
  expect(isOpen()).toBe(true);
  await clock.advance(1_000);
  expect(isOpen()).toBe(false);
});

test("an outage alone closes no socket, however long it lasts", async () => {
  const { clock, failures, isOpen, store } = await setUp();
  store.isDown = true;
  await clock.advance(600_000);
  expect([failures.length > 0, isOpen()]).toEqual([true, true]);
  store.isDown = false;
  await clock.advance(2_000);
  expect(isOpen()).toBe(true);
});

test("a key that expires in an outage loses its socket nevertheless", async () => {
  const { clock, isOpen, store } = await setUp({ expiresAt: createVirtualClock().now() + 10_000 });
  store.isDown = true;
  await clock.advance(9_000);
  expect(isOpen()).toBe(true);
  await clock.advance(2_000);
  expect(isOpen()).toBe(false);
});

test("nothing is watched once no socket is open", async () => {
  const { clock, change, isOpen } = await setUp();
  await change((record) => revokeKey(record, 1));
  await clock.advance(1_000);
  expect([isOpen(), clock.timerCount]).toEqual([false, 0]);
});
