/** Changes of the wall clock while the server runs, and between two starts. */
import { openSqlite } from "@letta-environments/platform/node";
import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { defaultSettleMs } from "../src/limits.ts";
import { createSqliteEnvironmentStore } from "../src/sqlite.ts";
import { createHarness, userMessage } from "./support/harness.ts";
import { createClockOfProcess, passRunningTime } from "./support/stopped-server.ts";

const hourMs = 3_600_000;

test("a wall clock that is set back by 120 s neither delays sends nor drops devices", async () => {
  const harness = createHarness({ settleMs: defaultSettleMs });
  const { connectionId, socket } = await harness.connect("device-1");
  await harness.clock.advance(defaultSettleMs);
  harness.clock.shiftWallTime(-120_000);
  const sent = harness.send(connectionId);
  await harness.settle();
  expect(socket.inputs()).toHaveLength(1);
  socket.acknowledge();
  expect((await sent).status).toBe(200);
});

test("a wall clock that jumps forward by an hour does not take devices offline", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  harness.clock.shiftWallTime(hourMs);
  await harness.clock.advance(30_000);
  expect(socket.terminated).toBe(false);
  expect((await harness.call("GET", "/v1/environments/device-1")).body).toMatchObject({ connectionId });
});

test.each([-24 * hourMs, 24 * hourMs])(
  "changing the wall clock by %i ms neither hides an online device from clients nor changes the age of its heartbeat",
  async (byMs) => {
    const harness = createHarness();
    await harness.connect("device-1");
    await harness.clock.advance(20_000);
    harness.clock.shiftWallTime(byMs);
    const { body } = await harness.call("GET", "/v1/environments/device-1");
    const heartbeatMs = harness.clock.now() - 20_000;
    expect(body).toMatchObject({ connectedAt: heartbeatMs, lastHeartbeat: heartbeatMs, lastSeenAt: heartbeatMs });
  },
);

test("a replaced connection is remembered as replaced although the wall clock was set back by a day before", async () => {
  const harness = createHarness();
  const { connectionId } = await harness.connect("device-1");
  harness.clock.shiftWallTime(-24 * hourMs);
  await harness.connect("device-1");
  await harness.clock.advance(60_000);
  expect((await harness.send(connectionId)).body).toMatchObject({ errorCode: "connection_replaced" });
});

test("after a restart, stored times that are ahead of the clock count from the restart", async () => {
  const harness = createHarness();
  harness.clock.shiftWallTime(365 * 24 * hourMs);
  const ahead = createHarness({ store: harness.store, clock: harness.clock });
  const { connectionId, socket } = await ahead.connect("device-1");
  const sent = ahead.send(connectionId);
  await ahead.settle();
  socket.acknowledge();
  await sent;
  await ahead.server.close();
  harness.clock.shiftWallTime(-365 * 24 * hourMs);
  const restarted = createHarness({ store: harness.store, clock: harness.clock });
  await restarted.settle();
  const { body } = await restarted.call("GET", "/v1/environments/device-1");
  expect(body).toMatchObject({ lastSeenAt: restarted.clock.now(), firstSeenAt: restarted.clock.now() });
  expect((await restarted.send(connectionId)).headers).toMatchObject({ "idempotency-replayed": "true" });
  await restarted.clock.advance(24 * hourMs);
  expect((await restarted.send(connectionId)).body).toMatchObject({ errorCode: "device_offline" });
});

test("a silent device goes offline after 120 s even when the wall clock is set back meanwhile", async () => {
  const harness = createHarness();
  const { socket } = await harness.connect("device-1");
  harness.clock.shiftWallTime(-hourMs);
  await harness.clock.advance(120_000);
  expect(socket.terminated).toBe(true);
});

test("message ids survive a wall clock that jumps forward by 25 hours, and expire 24 hours of monotonic time later", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  const sent = harness.send(connectionId);
  await harness.settle();
  socket.acknowledge();
  await sent;
  socket.listener.onClose(1006);
  harness.clock.shiftWallTime(25 * hourMs);
  expect((await harness.send(connectionId)).headers).toMatchObject({ "idempotency-replayed": "true" });
  await harness.clock.advance(24 * hourMs);
  expect((await harness.send(connectionId)).body).toMatchObject({ errorCode: "device_offline" });
});

/** A server whose device has connected, and that can start again on the same data, after it was closed or killed. */
async function openRestartable() {
  const store = createSqliteEnvironmentStore(openSqlite(":memory:"));
  const clock = createVirtualClock();
  let process = createClockOfProcess(clock);
  let harness = createHarness({ store, clock: process.clock });
  const { connectionId, socket } = await harness.connect("device-1");
  const sockets = [socket];
  return {
    clock,
    inputs: () => sockets.flatMap((each) => each.inputs()).length,
    get harness() {
      return harness;
    },
    async restart({ isOrderly }: { readonly isOrderly: boolean }, byMs: number, ranMs: number = 0): Promise<void> {
      if (isOrderly) await harness.server.close();
      await harness.settle();
      process.kill();
      if (ranMs > 0) await passRunningTime(store, clock, ranMs);
      clock.shiftWallTime(byMs);
      process = createClockOfProcess(clock);
      harness = createHarness({ store, clock: process.clock });
      sockets.push(await harness.open(connectionId));
    },
    /** Keeps the device online while time passes. */
    async pass(durationMs: number): Promise<void> {
      for (let passed = 0; passed < durationMs; passed += 60_000) {
        sockets.at(-1)?.say({ type: "ping" });
        await clock.advance(60_000);
      }
    },
    /** Sends a message, which the device accepts if it receives it. */
    async send(id: string) {
      const present = sockets.at(-1);
      const sent = harness.send(connectionId, { messages: [userMessage(id)] });
      await harness.settle();
      present?.acknowledge();
      const { status, headers } = await sent;
      return [status, headers["idempotency-replayed"] ?? "false"];
    },
    async listIds(): Promise<unknown[]> {
      const { body } = await harness.call("GET", "/v1/environments/device-1/messages");
      return (body["messages"] as { clientMessageId: string }[]).map(({ clientMessageId }) => clientMessageId);
    },
    async sentAt(id: string): Promise<unknown> {
      const path = `/v1/environments/${connectionId}/messages/${id}`;
      return (await harness.call("GET", path)).body["sentAt"];
    },
  };
}

const steps = [30 * hourMs, -30 * hourMs, 40 * 24 * hourMs, -40 * 24 * hourMs, 200 * 24 * hourMs, -200 * 24 * hourMs];

test.each(steps.flatMap((byMs) => [true, false].map((isOrderly) => ({ byMs, isOrderly }))))(
  "changing the wall clock by $byMs ms while the server runs, and again before a start, neither repeats nor removes a message: $isOrderly",
  async ({ byMs, isOrderly }) => {
    const world = await openRestartable();
    expect(await world.send("m-0")).toEqual([200, "false"]);
    world.clock.shiftWallTime(byMs);
    expect(await world.send("m-1")).toEqual([200, "false"]);
    // Until the statuses are stored.
    await world.clock.advance(1_000);
    for (const shiftMs of [0, byMs, -byMs, -byMs, byMs]) {
      await world.restart({ isOrderly }, shiftMs);
      expect(await world.send("m-0")).toEqual([200, "true"]);
      expect(await world.send("m-1")).toEqual([200, "true"]);
      await world.clock.advance(60_000);
      expect(new Set(await world.listIds())).toEqual(new Set(["m-0", "m-1"]));
    }
    expect(world.inputs()).toBe(2);
  },
);

test("an id is forgotten after 24 hours of running time, not counting time while the server was stopped", async () => {
  const world = await openRestartable();
  await world.send("m-0");
  await world.clock.advance(12 * hourMs);
  await world.restart({ isOrderly: true }, 100 * hourMs);
  await world.clock.advance(12 * hourMs - 1);
  await world.restart({ isOrderly: true }, 0);
  expect(await world.send("m-0")).toEqual([200, "true"]);
  await world.clock.advance(1);
  await world.restart({ isOrderly: true }, 0);
  expect(await world.send("m-0")).toEqual([200, "false"]);
});

test("a message shows when it was sent by the wall clock of that moment, also after the clock was set and after a restart", async () => {
  const world = await openRestartable();
  const times = [world.clock.now()];
  await world.send("m-0");
  world.clock.shiftWallTime(30 * hourMs);
  times.push(world.clock.now());
  await world.send("m-1");
  expect([await world.sentAt("m-0"), await world.sentAt("m-1")]).toEqual(times);
  await world.restart({ isOrderly: true }, 3 * hourMs);
  expect([await world.sentAt("m-0"), await world.sentAt("m-1")]).toEqual(times);
});

test("statuses are removed only when they are old by both the wall clock and the running time of the server", async () => {
  const world = await openRestartable();
  await world.send("m-0");
  await world.restart({ isOrderly: true }, 31 * 24 * hourMs);
  await world.clock.advance(60_000);
  expect(await world.listIds()).toEqual(["m-0"]);
  await world.restart({ isOrderly: true }, 0, 29 * 24 * hourMs);
  await world.clock.advance(60_000);
  expect(await world.listIds()).toEqual(["m-0"]);
  await world.restart({ isOrderly: true }, 0, 24 * hourMs);
  await world.clock.advance(60_000);
  expect(await world.listIds()).toEqual([]);
});

test("a start with a slow clock changes no stored time, so correct times are shown again once the clock is right", async () => {
  const world = await openRestartable();
  const sentAt = world.clock.now();
  await world.send("m-0");
  await world.restart({ isOrderly: true }, -40 * 24 * hourMs);
  await world.restart({ isOrderly: true }, 40 * 24 * hourMs);
  expect(await world.sentAt("m-0")).toBe(sentAt);
  const { body } = await world.harness.call("GET", "/v1/environments/device-1");
  expect(body).toMatchObject({ firstSeenAt: sentAt });
});

test.each([-200, 200])(
  "a start with a clock that is wrong by %i days removes no device, and neither does the next start",
  async (days) => {
    const world = await openRestartable();
    await world.harness.register("offline");
    for (const shiftMs of [days * 24 * hourMs, 0, -days * 24 * hourMs]) {
      await world.restart({ isOrderly: true }, shiftMs);
      // Rows are removed from an hour after the start on, while a device is connected.
      await world.pass(hourMs + 60_000);
      expect((await world.harness.call("GET", "/v1/environments/offline")).status).toBe(200);
    }
  },
);
