import type { ConnectedDevice } from "@letta-environments/environment-server";
import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test, vi } from "vitest";
import { fakeSockets } from "../../test/support/fake-sockets.ts";
import { testMint } from "../../test/support/test-proxy.ts";
import { createMemoryKeyStore } from "../adapters/memory/key-store.ts";
import type { KeyStore } from "../ports.ts";
import { createExpiryCheck } from "./credential-expiry.ts";
import { createKey, revokeKey } from "./key-lifecycle.ts";
import { credentialIdOf } from "./key-record.ts";
import { watchSocketKeys } from "./socket-key-watch.ts";

/** 110 devices, each with a key if there are so many, and a clock whose timers call `onTurn`. */
async function setUpMany(onTurn: () => void = () => undefined, keys: number = 110) {
  const virtual = createVirtualClock();
  const run = (each: () => void) => () => {
    onTurn();
    each();
  };
  let busyMs = 0;
  const clock = {
    ...virtual,
    monotonic: () => virtual.monotonic() + busyMs,
    setTimer: (delayMs: number, each: () => void) => virtual.setTimer(delayMs, run(each)),
  };
  const keyStore = createMemoryKeyStore();
  const devices: ConnectedDevice[] = [];
  for (let index = 0; index < keys; index += 1) {
    const { record } = createKey({ name: `k${index}`, tenant: "default", scopes: ["connect"] }, clock.now(), testMint);
    await keyStore.create(record);
    const credentialId = record.secrets.map(credentialIdOf)[0] ?? null;
    for (let socket = index; socket < 110; socket += keys) {
      const names = { deviceId: `device-${socket}`, connectionName: "one" };
      devices.push({ tenant: "default", keyId: record.id, credentialId, ...names });
    }
  }
  const readTags = vi.fn<() => Promise<readonly string[]>>(async () => []);
  const sockets = fakeSockets(devices, [], readTags);
  const find = vi.fn<KeyStore["find"]>(keyStore.find);
  const [tenants, onFailure] = [new Map(), vi.fn<() => void>()];
  const rules = { clock, hasExpired: createExpiryCheck(clock), tenants: () => tenants, tokenSettings: () => null };
  await sockets.open(watchSocketKeys(sockets, { ...rules, keyStore: { ...keyStore, find }, onFailure }));
  await virtual.advance(100);
  const revoke = (keyId: string): Promise<unknown> => keyStore.update(keyId, (record) => revokeKey(record, 1));
  const work = (durationMs: number) => void (busyMs += durationMs);
  return { advance: virtual.advance, clock, devices, find, keyStore, onFailure, readTags, revoke, sockets, work };
}

test.each([
  [1, [25, 25, 25, 25, 10]],
  [0.25, [50, 50, 10]],
])("when a key changes, other work runs after 10 ms of reads that take %d ms each", async (readMs, perTurn) => {
  const turns: number[] = [];
  const { advance, devices, find, revoke, sockets, work } = await setUpMany(() => turns.push(0));
  find.mockClear();
  const readBefore: number[] = [];
  find.mockImplementation(async () => {
    readBefore.push(turns.length);
    work(readMs);
    return null;
  });
  await revoke(String(devices[0]?.keyId));
  await advance(100);
  const reads = [...new Set(readBefore)].map((turn) => readBefore.filter((each) => each === turn).length);
  expect([reads, sockets.connectedDevices()]).toEqual([perTurn, []]);
});

test("when a key with many sockets gets tags, other work runs after 10 ms of reading the tags of their devices", async () => {
  let turns = 0;
  const { advance, devices, keyStore, readTags, sockets, work } = await setUpMany(() => (turns += 1), 1);
  const readBefore: number[] = [];
  readTags.mockImplementation(async () => {
    readBefore.push(turns);
    work(1);
    return ["x"];
  });
  await keyStore.update(String(devices[0]?.keyId), (record) => ({ ...record, deviceTags: ["x"] }));
  await advance(100);
  const reads = [...new Set(readBefore)].map((turn) => readBefore.filter((each) => each === turn).length);
  expect([reads, sockets.connectedDevices()]).toEqual([[25, 25, 25, 25, 10], devices]);
});

test("the socket of a key that is revoked while many others are checked is closed within 100 ms", async () => {
  const { advance, devices, find, keyStore, revoke, sockets } = await setUpMany();
  const [first, last] = [String(devices[0]?.keyId), String(devices[109]?.keyId)];
  let checks = 0;
  find.mockImplementation(async (id) => {
    const record = await keyStore.find(id);
    if (id === last && (checks += 1) === 1) await revoke(first);
    return record;
  });
  await revoke(String(devices[1]?.keyId));
  await advance(100);
  expect(sockets.connectedDevices()).toEqual(devices.slice(2));
});

test("sockets are closed while the key of an earlier one is still being read", async () => {
  const { advance, devices, find, keyStore, revoke, sockets } = await setUpMany();
  const [first, last] = [String(devices[0]?.keyId), String(devices[109]?.keyId)];
  find.mockImplementation((id) => (id === first ? new Promise(() => undefined) : keyStore.find(id)));
  await revoke(last);
  await advance(100);
  expect(sockets.connectedDevices()).toEqual(devices.slice(0, 109));
});

test("a key with many sockets is read once per check", async () => {
  const { advance, devices, find, revoke, sockets } = await setUpMany(undefined, 2);
  find.mockClear();
  await revoke(String(devices[0]?.keyId));
  await advance(100);
  expect([find.mock.calls.length, sockets.connectedDevices()]).toEqual([2, devices.slice(55)]);
});

test("the socket of a key that expires while others are checked is closed after the check", async () => {
  const { advance, clock, devices, find, keyStore, sockets } = await setUpMany();
  const [first, last] = [String(devices[0]?.keyId), String(devices[109]?.keyId)];
  const read = Promise.withResolvers<null>();
  find.mockImplementation((id) => (id === last ? read.promise : keyStore.find(id)));
  const expiresAt = clock.now() + 200;
  await keyStore.update(first, (record) => ({ ...record, expiresAt }));
  await advance(300);
  expect(sockets.connectedDevices()).toHaveLength(110);
  read.resolve(null);
  await advance(100);
  expect(sockets.connectedDevices()).toEqual(devices.slice(1, 109));
});

test("when the check of some sockets fails, the others are checked, and all are checked again", async () => {
  const { advance, devices, onFailure, revoke, sockets } = await setUpMany();
  vi.spyOn(sockets, "closeEnded").mockImplementationOnce(() => {
    throw new Error("broken");
  });
  await revoke(String(devices[0]?.keyId));
  await revoke(String(devices[109]?.keyId));
  await advance(100);
  expect([sockets.connectedDevices(), onFailure.mock.calls]).toEqual([devices.slice(0, 109), [[new Error("broken")]]]);
  await advance(1_100);
  expect(sockets.connectedDevices()).toEqual(devices.slice(1, 109));
});
