/** Sends whose outcome is unknown, after the device has reconnected and reported what it has. */
import { openSqlite } from "@letta-environments/platform/node";
import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { maxMessageWaitMs, reconciliationRetryMs } from "../src/limits.ts";
import { createSqliteEnvironmentStore } from "../src/sqlite.ts";
import type { FakeSocket } from "./support/fake-socket.ts";
import { createHarness, type Harness, userMessage } from "./support/harness.ts";

const runtime = { agent_id: "agent-1", conversation_id: "default" };

/** Sends m-1 and m-2 without acknowledgements, and starts another server on the same store as after kill -9. */
async function restartAfterSends(): Promise<{ after: Harness; connectionId: string }> {
  const store = createSqliteEnvironmentStore(openSqlite(":memory:"));
  const clock = createVirtualClock();
  const before = createHarness({ store, clock });
  const metadata = { lettaCodeVersion: "0.32.18" };
  const body = { deviceId: "device-1", connectionName: "box", metadata };
  const connectionId = await before.register("device-1", { body });
  await before.open(connectionId);
  for (const id of ["m-1", "m-2"]) void before.send(connectionId, { messages: [userMessage(id)] });
  await clock.advance(maxMessageWaitMs);
  return { after: createHarness({ store, clock }), connectionId };
}

async function statusOf({ send }: Harness, connectionId: string, id: string): Promise<number> {
  return (await send(connectionId, { messages: [userMessage(id)] })).status;
}

function reportConsumed(socket: FakeSocket, ids: readonly string[], about: unknown = runtime): void {
  const loop_status = { status: "WAITING_ON_INPUT", client_message_ids_by_run_id: { "run-1": ids } };
  socket.say({ type: "update_loop_status", runtime: about, loop_status });
}

function reportQueued(socket: FakeSocket, ids: readonly string[]): void {
  socket.say({ type: "update_queue", runtime, queue: ids.map((id) => ({ client_message_id: id })) });
}

test.each([
  ["queued", reportQueued],
  ["consumed by a run", reportConsumed],
])(
  "after a restart, an unknown send that the device lists as %s becomes accepted; the others stay unknown",
  async (_, report) => {
    const { after, connectionId } = await restartAfterSends();
    const socket = await after.open(connectionId);
    await after.settle();
    expect(socket.frames).toMatchObject([{ type: "sync", runtime, recover_approvals: false }]);
    report(socket, ["other", "m-1"]);
    await after.settle();
    expect([await statusOf(after, connectionId, "m-1"), await statusOf(after, connectionId, "m-2")]).toEqual([
      200, 504,
    ]);
    expect(socket.inputs()).toEqual([]);
    expect(after.events).toContainEqual(expect.objectContaining({ type: "message_acknowledged", late: true }));
  },
);

test("results that could not be read when the device connected are read again, so that its report still counts", async () => {
  const store = createSqliteEnvironmentStore(openSqlite(":memory:"));
  let fails = false;
  const harness = createHarness({
    store: {
      ...store,
      findOpenMessages: (...values) =>
        fails ? Promise.reject(new Error("the disk is full")) : store.findOpenMessages(...values),
    },
  });
  const { connectionId, socket } = await harness.connect("device-1");
  void harness.send(connectionId);
  await harness.settle();
  fails = true;
  socket.listener.onClose(1006);
  const again = await harness.open(connectionId);
  await harness.settle();
  expect(again.frames).toEqual([]);
  fails = false;
  await harness.clock.advance(reconciliationRetryMs);
  await harness.settle();
  expect(again.frames).toMatchObject([{ type: "sync", runtime }]);
});

test("a report about another conversation or from another device settles nothing", async () => {
  const { after, connectionId } = await restartAfterSends();
  const socket = await after.open(connectionId);
  const stranger = await after.connect("device-2");
  await after.settle();
  expect(stranger.socket.frames).toEqual([]);
  reportConsumed(socket, ["m-1"], { ...runtime, conversation_id: "conv-2" });
  reportConsumed(stranger.socket, ["m-1"]);
  await after.settle();
  expect(await statusOf(after, connectionId, "m-1")).toBe(504);
});

test("a send interrupted by the loss of the socket is settled when the device reconnects to the same process", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  const sent = harness.send(connectionId);
  await harness.settle();
  socket.listener.onClose(1006);
  const again = await harness.open(connectionId);
  expect((await sent).status).toBe(504);
  await harness.settle();
  reportConsumed(again, ["m-1"]);
  await harness.settle();
  expect(await statusOf(harness, connectionId, "m-1")).toBe(200);
});

test("a device is asked after the settle time of a new socket, and not at all without unknown sends", async () => {
  const store = createSqliteEnvironmentStore(openSqlite(":memory:"));
  const clock = createVirtualClock();
  const harness = createHarness({ store, clock, settleMs: 300 });
  const { connectionId, socket } = await harness.connect("device-1");
  await clock.advance(300);
  void harness.send(connectionId);
  await harness.settle();
  socket.listener.onClose(1006);
  const again = await harness.open(connectionId);
  await clock.advance(299);
  expect(again.frames).toEqual([]);
  await clock.advance(1);
  expect(again.frames).toHaveLength(1);
});

test("a report that lists a send which waits for its acknowledgement does not replace the acknowledgement", async () => {
  const { after, connectionId } = await restartAfterSends();
  const socket = await after.open(connectionId);
  await after.settle();
  const sent = after.send(connectionId, { messages: [userMessage("m-3")] });
  await after.settle();
  reportQueued(socket, ["m-3"]);
  socket.acknowledge({ accepted: false, error: "full" });
  expect(await sent).toMatchObject({ status: 409, body: { detail: "full" } });
});
