/** Changes of the wall clock while the server runs. */
import { expect, test } from "vitest";
import { defaultSettleMs } from "../src/limits.ts";
import { createHarness } from "./support/harness.ts";

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
  "a wall clock that moves by %i ms neither hides an online device from clients nor changes how old its heartbeat is",
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

test("after a restart, times that a clock ahead of this one has stored count from the restart", async () => {
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
