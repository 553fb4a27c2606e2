/** How many rows a key may have, and when rows are removed. */
import { openSqlite } from "@letta-environments/platform/node";
import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { createSqliteEnvironmentStore } from "../src/sqlite.ts";
import { maintenanceIntervalMs } from "../src/limits.ts";
import { deltaFrame, listen, settleEvents } from "./support/event-streams.ts";
import { anyone, createHarness, type Harness } from "./support/harness.ts";
import { passRunningTime } from "./support/stopped-server.ts";

const dayMs = 24 * 3_600_000;

async function names({ call }: Harness): Promise<unknown[]> {
  const { body } = await call("GET", "/v1/environments");
  return (body["connections"] as { deviceId: string }[]).map(({ deviceId }) => deviceId);
}

/** Keeps a device online while time passes. */
async function passTime(harness: Harness, socket: { say(frame: unknown): void }, durationMs: number): Promise<void> {
  const stepMs = 100_000;
  for (let passed = 0; passed < durationMs; passed += stepMs) {
    socket.say({ type: "ping" });
    await harness.clock.advance(Math.min(stepMs, durationMs - passed));
  }
}

test("a key with 1,000 rows enrols no other device, and other keys of the tenant are not affected", async () => {
  const harness = createHarness();
  for (let index = 0; index < 1_000; index++) await harness.register(`device-${index}`);
  await expect(harness.register("one-too-many")).rejects.toThrow("device_not_allowed");
  await harness.register("device-0");
  await harness.register("of-another-key", { principal: { ...anyone, keyId: "key-2" } });
});

test("the row of a device that has not connected for 90 days is removed, and one that is online is not", async () => {
  const clock = createVirtualClock();
  const store = createSqliteEnvironmentStore(openSqlite(":memory:"));
  const before = createHarness({ clock, store });
  await before.register("idle");
  await before.server.close();
  await passRunningTime(store, clock, 90 * dayMs - 3_600_000);
  const harness = createHarness({ clock, store });
  const { socket } = await harness.connect("online");
  const [sink, foreign] = [
    await listen(harness),
    await listen(harness, { principal: { ...anyone, deviceIds: ["online"] } }),
  ];
  await passTime(harness, socket, 3_500_000);
  expect(await names(harness)).toEqual(["idle", "online"]);
  await passTime(harness, socket, 200_000);
  expect(await names(harness)).toEqual(["online"]);
  expect(harness.events).toContainEqual(
    expect.objectContaining({ type: "environment_expired", tenant: "acme", deviceId: "idle" }),
  );
  await settleEvents(harness);
  expect(sink.events).toContainEqual(
    expect.objectContaining({
      type: "environment",
      data: {
        deviceId: "idle",
        connectionId: null,
        removed: true,
        environment: expect.objectContaining({ deviceId: "idle" }),
      },
    }),
  );
  expect(JSON.stringify(foreign.events)).not.toContain('"idle"');
  await harness.register("idle", { principal: { ...anyone, keyId: "key-2" } });
});

test("a wall clock that jumps forward by a year while the server runs removes no row", async () => {
  const harness = createHarness();
  await harness.register("idle");
  const { socket } = await harness.connect("online");
  await passTime(harness, socket, 3_600_000);
  harness.clock.shiftWallTime(365 * dayMs);
  await passTime(harness, socket, 3_600_000);
  expect(await names(harness)).toEqual(["idle", "online"]);
});

test("nothing is removed in the first hour after a start, so that devices can reconnect", async () => {
  const clock = createVirtualClock();
  const store = createSqliteEnvironmentStore(openSqlite(":memory:"));
  const before = createHarness({ clock, store });
  await before.register("idle");
  clock.shiftWallTime(365 * dayMs);
  const harness = createHarness({ clock, store });
  const { socket } = await harness.connect("online");
  await passTime(harness, socket, 3_590_000);
  expect(await names(harness)).toEqual(["idle", "online"]);
});

test("output is removed after an hour, events after a day, and rows after 90 days, while no device is connected", async () => {
  const clock = createVirtualClock();
  const store = createSqliteEnvironmentStore(openSqlite(":memory:"));
  const before = createHarness({ clock, store });
  await before.register("idle");
  await before.server.close();
  await passRunningTime(store, clock, 90 * dayMs);
  const harness = createHarness({ clock, store });
  const { socket } = await harness.connect("device-1");
  const viewer = { ...anyone, scopes: new Set([...anyone.scopes, "view"] as const) };
  const sink = await listen(harness, { principal: viewer, include: "output" });
  socket.say(deltaFrame(1));
  await settleEvents(harness);
  await sink.cancel();
  socket.listener.onClose(1006);
  await settleEvents(harness);
  const kinds = async (): Promise<readonly string[]> => {
    const selection = { tenant: "acme", after: 0, includesOutput: true, deviceIds: ["device-1"] };
    const { changes } = await store.readChanges(selection);
    return [...new Set(changes.map(({ kind }) => kind))].toSorted();
  };
  expect(await kinds()).toEqual(["environment", "output"]);
  await clock.advance(3_600_000 + maintenanceIntervalMs);
  expect(await kinds()).toEqual(["environment"]);
  expect(await names(harness)).toEqual(["device-1"]);
  await clock.advance(dayMs);
  expect(await kinds()).toEqual([]);
});

test("metadata of a registration is limited to 16,384 characters of JSON, and the 400 names the member", async () => {
  const harness = createHarness();
  const register = (length: number): Promise<{ readonly status: number; readonly body: unknown }> =>
    harness.call("POST", "/v1/environments/register", {
      body: { deviceId: "device-1", connectionName: "box", metadata: { os: "x".repeat(length - '{"os":""}'.length) } },
    });
  expect((await register(16_384)).status).toBe(200);
  expect(await register(16_385)).toMatchObject({
    status: 400,
    body: { errors: [{ member: "metadata", rule: "must have at most 16384 characters as JSON" }] },
  });
});
