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

/** 60 devices, each with a key, and a clock whose timers call `onTurn`. */
async function setUpMany(onTurn: () => void) {
  const virtual = createVirtualClock();
  const run = (each: () => void) => () => {
    onTurn();
    each();
  };
  const clock = { ...virtual, setTimer: (delayMs: number, each: () => void) => virtual.setTimer(delayMs, run(each)) };
  const keyStore = createMemoryKeyStore();
  const devices: ConnectedDevice[] = [];
  for (let index = 0; index < 60; index += 1) {
    const { record } = createKey({ name: `k${index}`, tenant: "default", scopes: ["connect"] }, clock.now(), testMint);
    await keyStore.create(record);
    const credentialId = record.secrets.map(credentialIdOf)[0] ?? null;
    const names = { deviceId: `device-${index}`, connectionName: "one" };
    devices.push({ tenant: "default", keyId: record.id, credentialId, ...names });
  }
  const sockets = fakeSockets(devices);
  const find = vi.fn<KeyStore["find"]>(keyStore.find);
  const [tenants, onFailure] = [new Map(), vi.fn<() => void>()];
  const rules = { clock, hasExpired: createExpiryCheck(clock), tenants: () => tenants, tokenSettings: () => null };
  await sockets.open(watchSocketKeys(sockets, { ...rules, keyStore: { ...keyStore, find }, onFailure }));
  await virtual.advance(100);
  const revoke = (keyId: string): Promise<unknown> => keyStore.update(keyId, (record) => revokeKey(record, 1));
  return { advance: virtual.advance, devices, find, keyStore, revoke, sockets };
}

test("when a key changes, other work runs between the reads of the keys of many open sockets", async () => {
  const turns: number[] = [];
  const { advance, devices, find, revoke, sockets } = await setUpMany(() => turns.push(0));
  find.mockClear();
  const readBefore: number[] = [];
  find.mockImplementation(async () => {
    readBefore.push(turns.length);
    return null;
  });
  await revoke(String(devices[0]?.keyId));
  await advance(100);
  const perTurn = [...new Set(readBefore)].map((turn) => readBefore.filter((each) => each === turn).length);
  expect([find.mock.calls.length, Math.max(...perTurn), sockets.connectedDevices()]).toEqual([60, 25, []]);
});

test("the socket of a key that is revoked while many others are checked is closed within 100 ms", async () => {
  const { advance, devices, find, keyStore, revoke, sockets } = await setUpMany(() => undefined);
  const [first, last] = [String(devices[0]?.keyId), String(devices[59]?.keyId)];
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
