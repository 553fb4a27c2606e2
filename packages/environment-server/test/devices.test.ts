import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSqlite } from "@letta-environments/platform/node";
import { afterAll, expect, test } from "vitest";
import { createSqliteEnvironmentStore } from "../src/sqlite.ts";
import type { FakeSocket } from "./support/fake-socket.ts";
import { anyone, createHarness, type Harness } from "./support/harness.ts";

const directory = mkdtempSync(join(tmpdir(), "environment-devices-"));
afterAll(() => rmSync(directory, { recursive: true }));
const always = (): boolean => true;
const everything = { tenant: null, deviceId: null, afterId: null, limit: 100 };

function codes({ closes }: FakeSocket): readonly number[] {
  return closes.map(({ code }) => code);
}

/** A server over a file, and the store of another process over the same file. */
function createShared(name: string): Harness & { readonly other: ReturnType<typeof createSqliteEnvironmentStore> } {
  const path = join(directory, name);
  const harness = createHarness({ store: createSqliteEnvironmentStore(openSqlite(path)) });
  return { ...harness, other: createSqliteEnvironmentStore(openSqlite(path)) };
}

test("the list shows which devices are connected, and which key owns each", async () => {
  const { server, connect, register } = createHarness();
  const { connectionId } = await connect("d-1");
  await register("d-2");
  const rows = await server.devices.list(everything);
  expect(rows.map((row) => [row.deviceId, row.ownerKeyId, row.connectionId])).toEqual([
    ["d-1", "key-1", connectionId],
    ["d-2", "key-1", null],
  ]);
});

test("removing a device closes its sockets at once with 1008, frees its name, and leaves other devices connected", async () => {
  const { server, connect, call, send, events } = createHarness();
  const { socket, connectionId } = await connect("d-1");
  const other = await connect("d-2");
  expect(await server.devices.remove("acme", "d-1", always)).toHaveLength(1);
  expect(socket.closes).toEqual([{ code: 1008, reason: "The device was removed" }]);
  expect(other.socket.closes).toEqual([]);
  expect((await call("GET", "/v1/environments/d-1")).status).toBe(404);
  expect((await send(connectionId)).body["errorCode"]).toBe("connection_not_found");
  expect(events.filter(({ type }) => type === "device_removed")).toEqual([
    { type: "device_removed", tenant: "acme", deviceId: "d-1" },
  ]);
  expect(events).toContainEqual(expect.objectContaining({ type: "device_disconnected", reason: "removed" }));
});

test("a send to a device that is removed meanwhile has an unknown outcome, and a later one finds no connection", async () => {
  const { server, connect, send, settle } = createHarness();
  const { connectionId } = await connect("d-1");
  const sending = send(connectionId);
  await settle();
  await server.devices.remove("acme", "d-1", always);
  expect((await sending).body["errorCode"]).toBe("delivery_unknown");
  expect((await send(connectionId)).body["errorCode"]).toBe("connection_not_found");
});

test("a device that another process removed is disconnected within 2 seconds, and other devices are not", async () => {
  const { clock, connect, other } = createShared("removed.sqlite");
  const one = await connect("d-1");
  const two = await connect("d-2");
  await clock.advance(5_000);
  await other.removeDevice("acme", "d-1", always);
  await clock.advance(2_000);
  expect([codes(one.socket), codes(two.socket)]).toEqual([[1008], []]);
});

test("a device that is removed during its handshake is disconnected within 2 seconds", async () => {
  const { clock, server, store, register, connect } = createHarness();
  await connect("d-2");
  await clock.advance(5_000);
  const connectionId = await register("d-1");
  const request = {
    method: "GET",
    path: `/v1/environments/${connectionId}/socket`,
    query: "",
    headers: {},
    body: null,
  };
  const decision = await server.upgrade(request, anyone);
  await store.removeDevice("acme", "d-1", always);
  const closes: number[] = [];
  if (decision.kind === "accepted") {
    decision.attach({ send: () => undefined, close: (code) => void closes.push(code), terminate: () => undefined });
  }
  await clock.advance(2_000);
  expect(closes).toEqual([1008]);
});

test("a release leaves the socket open, and after it another key can enrol and connect the device, which replaces the socket", async () => {
  const { server, connect, register, open } = createHarness();
  const { socket } = await connect("d-1");
  const successor = { ...anyone, keyId: "key-2" };
  await expect(register("d-1", { principal: successor })).rejects.toThrow("device_owned_by_another_key");
  expect(await server.devices.release("acme", "d-1", always)).toHaveLength(1);
  expect(socket.closes).toEqual([]);
  await open(await register("d-1", { principal: successor }), successor);
  expect(codes(socket)).toEqual([1000]);
  await expect(register("d-1")).rejects.toThrow("device_owned_by_another_key");
});

test("a failing store is reported, and the removal takes effect once the store works again", async () => {
  const store = createSqliteEnvironmentStore(openSqlite(":memory:"));
  let isDown = false;
  const { clock, connect, events } = createHarness({
    store: {
      ...store,
      readVersion: () => (isDown ? Promise.reject(new Error("disk I/O error")) : store.readVersion()),
    },
  });
  const { socket } = await connect("d-1");
  isDown = true;
  await clock.advance(2_000);
  await store.removeDevice("acme", "d-1", always);
  expect(events.filter(({ type }) => type === "store_failed").length).toBeGreaterThan(0);
  isDown = false;
  await clock.advance(2_000);
  expect(codes(socket)).toEqual([1008]);
});
