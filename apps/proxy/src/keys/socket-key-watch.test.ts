import type { ConnectedDevice } from "@letta-environments/environment-server";
import type { DeviceAllowlist, Principal } from "@letta-environments/schema";
import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test, vi } from "vitest";
import { fakeSockets } from "../../test/support/fake-sockets.ts";
import { testMint } from "../../test/support/test-proxy.ts";
import { createPermissionRules, type PermissionSettings } from "../auth/tenant-guard.ts";
import { toShadowSettings } from "../auth/shadow.ts";
import type { ApprovalPolicies } from "../tenants/settings.ts";
import { createMemoryKeyStore } from "../adapters/memory/key-store.ts";
import type { KeyStore } from "../ports.ts";
import { createKey, disableKey, type KeyRequest, mintSecret, revokeKey, rotateKey } from "./key-lifecycle.ts";
import { approvalPolicyOfKey, credentialIdOf, type KeyRecord } from "./key-record.ts";
import { watchSocketKeys } from "./socket-key-watch.ts";
import { createExpiryCheck } from "./credential-expiry.ts";

type Configured = (key: KeyRecord) => Partial<PermissionSettings>;

/** A key whose device holds a socket that is watched. */
async function setUp(
  more: Partial<KeyRequest> = {},
  isDown = false,
  isViewer = false,
  configured: Configured = () => ({}),
) {
  const clock = createVirtualClock();
  const keyStore = createMemoryKeyStore();
  const wanted = { name: "k", tenant: "default", scopes: ["connect"] as const, ...more };
  const { record } = createKey(wanted, clock.now(), testMint);
  await keyStore.create(record);
  const failures: unknown[] = [];
  const shadowed: string[] = [];
  let reads = 0;
  let calls = 0;
  const store = { isDown, isUnreadable: false };
  const watchedStore = {
    ...keyStore,
    async find(id: string) {
      reads += 1;
      if (store.isDown) throw new Error("down");
      return keyStore.find(id);
    },
    // As a store does that has had no response for long: nothing that was read before is to be trusted.
    generation() {
      if (store.isUnreadable) throw new Error("disk I/O error");
      return store.isDown ? 1_000 + (calls += 1) : keyStore.generation();
    },
  };
  const [secret] = record.secrets;
  const credentialId = secret === undefined ? null : credentialIdOf(secret);
  const device = { tenant: "default", keyId: record.id, credentialId, deviceId: "device-1", connectionName: "one" };
  let settings: PermissionSettings = { approvals: null, shadow: null, ...configured(record) };
  const policy = approvalPolicyOfKey(record);
  const own: Principal = { ...record, ...device, scopes: new Set(record.scopes), approvalPolicy: policy };
  const rules = createPermissionRules(() => settings);
  const principal = rules.configure()(own);
  const sockets = isViewer
    ? fakeSockets([], [{ ...device, principal }])
    : fakeSockets([{ ...device, approvalPolicy: principal.approvalPolicy ?? null }]);
  let tenants: ReadonlyMap<string, DeviceAllowlist> = new Map();
  await sockets.open(
    watchSocketKeys(sockets, {
      clock,
      hasExpired: createExpiryCheck(clock),
      keyStore: watchedStore,
      tenants: () => tenants,
      ...rules,
      tokenSettings: () => null,
      onShadowed: ({ deviceId }) => void shadowed.push(deviceId),
      onFailure: (cause) => void failures.push(cause),
    }),
  );
  await clock.advance(100);
  return {
    clock,
    failures,
    shadowed,
    store,
    record,
    reads: () => reads,
    isOpen: () => sockets.connectedDevices().length + sockets.connectedViewers().length === 1,
    configureApprovals: (approvals: ApprovalPolicies) => void (settings = { ...settings, approvals }),
    endShadow: () => void (settings = { ...settings, shadow: null }),
    restrictTenants: (restricted: typeof tenants) => void (tenants = restricted),
    change: (edit: (before: KeyRecord) => KeyRecord) => keyStore.update(record.id, edit),
  };
}

test.each<[string, (record: KeyRecord) => KeyRecord]>([
  ["is revoked", (record) => revokeKey(record, 1)],
  ["loses a scope", (record) => ({ ...record, scopes: ["view"] })],
  ["gets another scope", (record) => ({ ...record, scopes: ["view", "send", "manage"] })],
  ["is restricted to other devices", (record) => ({ ...record, deviceIds: ["device-2"] })],
  ["is restricted to agents", (record) => ({ ...record, agentIds: ["agent-1"] })],
  ["gets a maximum mode", (record) => ({ ...record, maxMode: "standard" })],
  ["denies tools", (record) => ({ ...record, deniedTools: ["Bash"] })],
  ["gets an approval deadline", (record) => ({ ...record, approvalDeadlineMs: 60_000 })],
  ["gets a mode that it sets", (record) => ({ ...record, setMode: "standard" })],
  ["gets other rate limits", (record) => ({ ...record, rateLimits: { sends: "1/1h" } })],
])("the socket of a viewer is closed within 100 ms after its key %s", async (_what, edit) => {
  const { clock, change, isOpen } = await setUp({ scopes: ["view", "send"] }, false, true);
  await change((record) => ({ ...record, name: "renamed", description: "no permission" }));
  await clock.advance(100);
  expect(isOpen()).toBe(true);
  await change(edit);
  await clock.advance(100);
  expect(isOpen()).toBe(false);
});

const everybody = (deniedTools: readonly string[]): ApprovalPolicies => ({
  everybody: { deniedTools, deadlineMs: null },
  tenants: new Map(),
  keys: new Map(),
});

test("the socket of a viewer stays open under a configured approval policy, and closes when that changes", async () => {
  const approvals = everybody(["Write"]);
  const { clock, change, configureApprovals, isOpen } = await setUp({ scopes: ["view"] }, false, true, () => ({
    approvals,
  }));
  await change((record) => ({ ...record, description: "no permission" }));
  await clock.advance(100);
  expect(isOpen()).toBe(true);
  configureApprovals(everybody(["Write", "Bash"]));
  await clock.advance(100);
  expect(isOpen()).toBe(false);
});

test("the socket of a viewer whose restrictions are in shadow mode stays open, until another permission changes", async () => {
  const restrictions = { deviceIds: ["device-2"], agentIds: ["agent-1"], maxMode: "standard" };
  const shadow: Configured = ({ id }) => ({ shadow: toShadowSettings([id]) });
  const { clock, change, isOpen } = await setUp({ scopes: ["view"], ...restrictions }, false, true, shadow);
  await change((record) => ({ ...record, description: "no permission" }));
  await clock.advance(100);
  expect(isOpen()).toBe(true);
  await change((record) => ({ ...record, scopes: ["view", "send"] }));
  await clock.advance(100);
  expect(isOpen()).toBe(false);
});

test("the socket of a viewer in shadow mode closes when its key loses the maximum that shadow mode lifts, because the mode that it sets limits it then", async () => {
  const modes = { scopes: ["view", "control"], maxMode: "acceptEdits", setMode: "standard" } as const;
  const shadow: Configured = ({ id }) => ({ shadow: toShadowSettings([id]) });
  const { clock, change, isOpen } = await setUp(modes, false, true, shadow);
  await change((record) => ({ ...record, maxMode: "standard" }));
  await clock.advance(100);
  expect(isOpen()).toBe(true);
  await change((record) => ({ ...record, maxMode: null }));
  await clock.advance(100);
  expect(isOpen()).toBe(false);
});

test("the socket of a device stays open under the approval policy that it was opened with, and closes when that changes", async () => {
  const approvals = everybody(["Write"]);
  const request = { deniedTools: ["Bash"], approvalDeadlineMs: 60_000 };
  const { clock, change, configureApprovals, isOpen } = await setUp(request, false, false, () => ({ approvals }));
  await change((record) => ({ ...record, description: "the same policy" }));
  await clock.advance(100);
  expect(isOpen()).toBe(true);
  configureApprovals(everybody(["Write", "Web*"]));
  await clock.advance(100);
  expect(isOpen()).toBe(false);
});

test.each<[string, Partial<KeyRequest>, Partial<KeyRecord>]>([
  ["its tools are in another order", { deniedTools: ["Bash", "Write"] }, { deniedTools: ["Write", "Bash"] }],
  ["it denies nothing, as before without a policy", {}, { deniedTools: [] }],
])("a device socket stays open when its policy is written differently: %s", async (_how, before, after) => {
  const { clock, change, isOpen } = await setUp(before, false, false);
  await change((record) => ({ ...record, ...after }));
  await clock.advance(100);
  expect(isOpen()).toBe(true);
});

test("the socket of a device outside the allowlist of its key stays open in shadow mode, is reported once, and closes when shadow mode ends", async () => {
  const shadow: Configured = ({ id }) => ({ shadow: toShadowSettings([id]) });
  const { clock, change, isOpen, shadowed, endShadow } = await setUp({ deviceIds: ["device-2"] }, false, false, shadow);
  await change((record) => ({ ...record, description: "checked again" }));
  await clock.advance(100);
  expect([isOpen(), shadowed]).toEqual([true, ["device-1"]]);
  endShadow();
  await clock.advance(100);
  expect([isOpen(), shadowed]).toEqual([false, ["device-1"]]);
});

test.each<[string, Partial<KeyRequest>, Configured]>([
  ["another key", { deviceIds: ["device-2"] }, () => ({ shadow: toShadowSettings(["other"]) })],
  ["other rules", { deviceIds: ["device-2"] }, ({ id }) => ({ shadow: toShadowSettings([id], ["agents", "maxMode"]) })],
  ["its key, without the scope", { scopes: ["list"] }, ({ id }) => ({ shadow: toShadowSettings([id]) })],
])("shadow mode for %s does not keep device sockets open", async (_what, request, configured) => {
  const { isOpen, shadowed } = await setUp(request, false, false, configured);
  expect([isOpen(), shadowed]).toEqual([false, []]);
});

test("shadow mode does not keep a device socket open if the tenant may not connect the device", async () => {
  const shadow: Configured = ({ id }) => ({ shadow: toShadowSettings([id]) });
  const { clock, isOpen, restrictTenants } = await setUp({ deviceIds: ["device-2"] }, false, false, shadow);
  restrictTenants(new Map([["default", { deviceIds: ["device-2"], connectionNames: null }]]));
  await clock.advance(100);
  expect(isOpen()).toBe(false);
});

test("a device that its key allows is not reported in shadow mode", async () => {
  const shadow: Configured = ({ id }) => ({ shadow: toShadowSettings([id]) });
  const { isOpen, shadowed } = await setUp({ deviceIds: ["device-1"] }, false, false, shadow);
  expect([isOpen(), shadowed]).toEqual([true, []]);
});

test.each<[string, (record: KeyRecord) => KeyRecord]>([
  ["is revoked", (record) => revokeKey(record, 1)],
  ["is disabled", (record) => disableKey(record, 1)],
  ["requires a feature that this version does not support", (record) => ({ ...record, requires: ["new"] })],
  ["denies tools", (record) => ({ ...record, deniedTools: ["Bash"] })],
  ["gets an approval deadline", (record) => ({ ...record, approvalDeadlineMs: 60_000 })],
  ["may no longer connect", (record) => ({ ...record, scopes: ["list"] })],
  ["is restricted to other devices", (record) => ({ ...record, deviceIds: ["device-2"] })],
])("a socket is closed within 100 ms after its key %s", async (_what, edit) => {
  const { clock, change, isOpen } = await setUp();
  expect(isOpen()).toBe(true);
  await change(edit);
  await clock.advance(100);
  expect(isOpen()).toBe(false);
});

function rotate(record: KeyRecord, nowMs: number, overlapMs: number): KeyRecord {
  return rotateKey(record, mintSecret(record.id, nowMs, testMint).secret, nowMs, overlapMs);
}

test("a socket is closed within 100 ms after a rotation without an overlap, although its key stays valid", async () => {
  const { clock, change, isOpen } = await setUp();
  await change((record) => rotate(record, clock.now(), 0));
  await clock.advance(100);
  expect(isOpen()).toBe(false);
});

test("a socket of the old secret is closed when the overlap of a rotation ends", async () => {
  const { clock, change, isOpen } = await setUp();
  await change((record) => rotate(record, clock.now(), 10_000));
  await clock.advance(9_900);
  expect(isOpen()).toBe(true);
  await clock.advance(200);
  expect(isOpen()).toBe(false);
});

test("a socket of the new secret stays open when the overlap of a rotation ends", async () => {
  const { clock, change, isOpen } = await setUp();
  await change((record) => {
    const before: KeyRecord = { ...record, secrets: [mintSecret(record.id, 0, testMint).secret] };
    return record.secrets.reduce((rotated, secret) => rotateKey(rotated, secret, clock.now(), 10_000), before);
  });
  await clock.advance(10_000);
  await change((record) => ({ ...record, description: "checked again" }));
  await clock.advance(100);
  expect(isOpen()).toBe(true);
});

test("a second rotation during the overlap closes the sockets of the oldest secret at once", async () => {
  const { clock, change, isOpen } = await setUp();
  await change((record) => rotate(record, clock.now(), 10_000));
  await clock.advance(1_000);
  expect(isOpen()).toBe(true);
  await change((record) => rotate(record, clock.now(), 10_000));
  await clock.advance(100);
  expect(isOpen()).toBe(false);
});

test("a socket of the old secret is closed at the end of the overlap while the key store is unavailable", async () => {
  const { clock, change, isOpen, store } = await setUp();
  await change((record) => rotate(record, clock.now(), 10_000));
  await clock.advance(100);
  store.isDown = true;
  await clock.advance(9_000);
  expect(isOpen()).toBe(true);
  await clock.advance(2_000);
  expect(isOpen()).toBe(false);
});

test("a socket is closed within 100 ms after its tenant is restricted to other devices, and stays open before", async () => {
  const { clock, restrictTenants, isOpen } = await setUp();
  restrictTenants(new Map([["default", { deviceIds: ["device-1"], connectionNames: null }]]));
  await clock.advance(100);
  expect(isOpen()).toBe(true);
  restrictTenants(new Map([["default", { deviceIds: ["device-2"], connectionNames: null }]]));
  await clock.advance(100);
  expect(isOpen()).toBe(false);
});

test("a socket is closed when its key expires, without any change of keys", async () => {
  const { clock, isOpen } = await setUp({ expiresAt: createVirtualClock().now() + 10_000 });
  await clock.advance(9_000);
  expect(isOpen()).toBe(true);
  await clock.advance(1_000);
  expect(isOpen()).toBe(false);
});

test("a change that leaves the key valid leaves its socket open, and an unchanged store is not read", async () => {
  const { clock, change, isOpen, reads } = await setUp();
  await change((record) => ({ ...record, description: "same" }));
  await clock.advance(1_000);
  expect(isOpen()).toBe(true);
  const before = reads();
  await clock.advance(60_000);
  expect(reads()).toBe(before);
});

test("a failed read of the store is repeated, and the socket of a revoked key is closed", async () => {
  const { clock, change, failures, isOpen, store } = await setUp();
  store.isDown = true;
  await change((record) => revokeKey(record, 1));
  await clock.advance(1_000);
  expect([failures.length > 0, isOpen()]).toEqual([true, true]);
  store.isDown = false;
  await clock.advance(1_100);
  expect(isOpen()).toBe(false);
});

test("a failed read of the generation is reported and repeated, and the socket of a revoked key is closed", async () => {
  const { clock, change, failures, isOpen, store } = await setUp();
  store.isUnreadable = true;
  await change((record) => revokeKey(record, 1));
  await clock.advance(1_000);
  expect([failures.length > 0, isOpen()]).toEqual([true, true]);
  store.isUnreadable = false;
  await clock.advance(1_100);
  expect(isOpen()).toBe(false);
});

test("a failed read of the store when a socket opens is repeated, and the socket is closed when its key expires", async () => {
  const { clock, isOpen, store } = await setUp({ expiresAt: createVirtualClock().now() + 10_000 }, true);
  store.isDown = false;
  await clock.advance(9_000);
  expect(isOpen()).toBe(true);
  await clock.advance(1_000);
  expect(isOpen()).toBe(false);
});

test("an outage of the store closes no socket, however long it lasts", async () => {
  const { clock, failures, isOpen, store } = await setUp();
  store.isDown = true;
  await clock.advance(600_000);
  expect([failures.length > 0, isOpen()]).toEqual([true, true]);
  store.isDown = false;
  await clock.advance(2_000);
  expect(isOpen()).toBe(true);
});

test("the socket of a key that expires during an outage is closed", async () => {
  const { clock, isOpen, store } = await setUp({ expiresAt: createVirtualClock().now() + 10_000 });
  store.isDown = true;
  await clock.advance(9_000);
  expect(isOpen()).toBe(true);
  await clock.advance(2_000);
  expect(isOpen()).toBe(false);
});

test("the watch stops once no socket is open", async () => {
  const { clock, change, isOpen } = await setUp();
  await change((record) => revokeKey(record, 1));
  await clock.advance(1_000);
  expect([isOpen(), clock.timerCount]).toEqual([false, 0]);
});

test("while one key cannot be read, its socket stays open until it expires, and others close within 100 ms after their keys are revoked", async () => {
  const clock = createVirtualClock();
  const keyStore = createMemoryKeyStore();
  const open = async (name: string, expiresAt: number | null): Promise<ConnectedDevice> => {
    const { record } = createKey({ name, tenant: "default", scopes: ["connect"], expiresAt }, clock.now(), testMint);
    await keyStore.create(record);
    const credentialId = record.secrets.map(credentialIdOf)[0] ?? null;
    return { tenant: "default", keyId: record.id, credentialId, deviceId: name, connectionName: name };
  };
  const damaged = await open("damaged", clock.now() + 60_000);
  const [first, second] = [await open("first", null), await open("second", null)];
  const sockets = fakeSockets([damaged, first, second]);
  const find = vi.fn<KeyStore["find"]>(keyStore.find);
  const [tenants, onFailure] = [new Map(), vi.fn<() => void>()];
  const rules = { clock, hasExpired: createExpiryCheck(clock), tenants: () => tenants, tokenSettings: () => null };
  const watch = watchSocketKeys(sockets, { ...rules, keyStore: { ...keyStore, find }, onFailure });
  await sockets.open(watch);
  await clock.advance(100);
  find.mockImplementation(async (id) => (id === damaged.keyId ? Promise.reject(new Error("EIO")) : keyStore.find(id)));
  await keyStore.update(first.keyId, (record) => revokeKey(record, 1));
  await clock.advance(100);
  expect(sockets.connectedDevices()).toEqual([damaged, second]);
  [find, onFailure].forEach((mock) => mock.mockClear());
  await clock.advance(10_000);
  expect([find.mock.calls, onFailure.mock.calls.length]).toEqual([Array(10).fill([damaged.keyId]), 10]);
  onFailure.mockClear();
  for (let opened = 0; opened < 50; opened += 1) {
    await sockets.open(watch);
    await clock.advance(100);
  }
  expect(onFailure).toHaveBeenCalledTimes(5);
  await keyStore.update(second.keyId, (record) => revokeKey(record, 1));
  await clock.advance(100);
  expect(sockets.connectedDevices()).toEqual([damaged]);
  await clock.advance(60_000);
  expect([sockets.connectedDevices(), clock.timerCount]).toEqual([[], 0]);
});
