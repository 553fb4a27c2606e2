/** The status of messages whose device is lost in the middle of their turn, and comes back. */
import { openSqlite } from "@letta-environments/platform/node";
import { createVirtualClock } from "@letta-environments/testkit";
import { describe, expect, test } from "vitest";
import { createMemoryMessageLog, type EnvironmentStore, withSeparateLogs } from "../src/index.ts";
import { createSqliteEnvironmentStore } from "../src/sqlite.ts";
import type { FakeSocket } from "./support/fake-socket.ts";
import { listen, settleEvents } from "./support/event-streams.ts";
import { createHarness, type Harness, userMessage, withApprove } from "./support/harness.ts";
import { retrieve, runtime, startMessage, stateOf } from "./support/message-status.ts";

describe("devices that disconnect during a turn", () => {
  test("a device that disconnects for good during a turn leaves its message unknown, never finished", async () => {
    const { harness, connectionId, socket } = await startMessage();
    socket.say({ type: "update_loop_status", runtime, loop_status: { status: "PROCESSING_API_RESPONSE" } });
    expect(await stateOf(harness, connectionId, "m-1")).toBe("running");
    socket.listener.onClose(1006);
    expect(await stateOf(harness, connectionId, "m-1")).toBe("unknown");
    // Another process of the same device does not know the message.
    const again = await harness.open(connectionId);
    await harness.settle();
    expect(again.frames).toMatchObject([{ type: "sync", runtime }]);
    again.say({
      type: "update_loop_status",
      runtime,
      loop_status: { status: "WAITING_ON_INPUT", client_message_ids_by_run_id: {} },
    });
    again.say({ type: "update_queue", runtime, queue: [], removed: [] });
    expect(await stateOf(harness, connectionId, "m-1")).toBe("unknown");
  });

  test("a device that has lost its messages is asked about them until it answers, and not again", async () => {
    const { harness, connectionId, socket } = await startMessage();
    let present = socket;
    const reconnect = async (): Promise<unknown> => {
      present.listener.onClose(1006);
      present = await harness.open(connectionId);
      await harness.settle();
      return present.frames;
    };
    const asked = [{ type: "sync", runtime }];
    const idle = { type: "update_loop_status", runtime, loop_status: { status: "WAITING_ON_INPUT" } };
    expect(await reconnect()).toMatchObject(asked);
    expect(await reconnect()).toMatchObject(asked);
    present.say(idle);
    // The message may be in the queue, which the device reports next.
    expect(await reconnect()).toMatchObject(asked);
    present.say(idle);
    present.say({ type: "update_queue", runtime, queue: [], removed: [] });
    expect(await reconnect()).toEqual([]);
    expect(await stateOf(harness, connectionId, "m-1")).toBe("unknown");
    const sent = harness.send(connectionId, { messages: [userMessage("m-2")] });
    await harness.settle();
    present.acknowledge();
    await sent;
    expect(await reconnect()).toMatchObject(asked);
  });

  test("a device that reconnects during a turn reports that it still runs, and how it ends", async () => {
    const { harness, connectionId, socket } = await startMessage();
    socket.listener.onClose(1006);
    const again = await harness.open(connectionId);
    await harness.settle();
    const byRun = { "run-1": ["m-1"] };
    const loop_status = {
      status: "WAITING_ON_APPROVAL",
      active_run_ids: ["run-1"],
      client_message_ids_by_run_id: byRun,
    };
    again.say({ type: "update_loop_status", runtime, loop_status });
    expect(await stateOf(harness, connectionId, "m-1")).toBe("waiting_for_approval");
    again.say({ type: "turn_finished", runtime, turn_id: "t", stop_reason: "end_turn", run_id: "run-1" });
    const { body } = await retrieve(harness, connectionId, "m-1");
    expect(body).toMatchObject({ state: "finished", stopReason: "end_turn" });
    expect(body).not.toHaveProperty("durationMs");
  });

  test("after a reconnect during a turn the text is truncated, unless all of it came after the reconnect", async () => {
    const { harness, connectionId, socket } = await startMessage();
    const say = (to: typeof socket, id: string, content: string): void =>
      to.say({ type: "stream_delta", runtime, delta: { message_type: "assistant_message", id, content } });
    const report = (to: typeof socket, status: string, ids: readonly string[]): void => {
      const loop_status = { status, active_run_ids: ["run-1"], client_message_ids_by_run_id: { "run-1": ids } };
      to.say({ type: "update_loop_status", runtime, loop_status });
    };
    const end = (to: typeof socket): void =>
      to.say({ type: "turn_finished", runtime, run_id: "run-1", stop_reason: "end_turn" });
    const textOf = async (id: string): Promise<unknown> => {
      const { text, textTruncated } = (await retrieve(harness, connectionId, id)).body;
      return { text, textTruncated };
    };
    const reconnect = async (from: typeof socket): Promise<typeof socket> => {
      from.listener.onClose(1006);
      const again = await harness.open(connectionId);
      await harness.settle();
      report(again, "PROCESSING_API_RESPONSE", ["m-1"]);
      return again;
    };
    say(socket, "a", "one ");
    const second = await reconnect(socket);
    say(second, "a", "three");
    expect(await textOf("m-1")).toEqual({});
    const third = await reconnect(second);
    say(third, "a", "five");
    end(third);
    expect(await textOf("m-1")).toEqual({ text: "five", textTruncated: true });
    report(third, "WAITING_ON_INPUT", []);
    const sent = harness.send(connectionId, { messages: [userMessage("m-2")] });
    await harness.settle();
    third.acknowledge();
    await sent;
    say(third, "b", "whole");
    end(third);
    expect(await textOf("m-2")).toEqual({ text: "whole", textTruncated: false });
  });

  test("after a reconnect during a turn the text is complete if the agent begins a new one", async () => {
    const { harness, connectionId, socket } = await startMessage();
    socket.listener.onClose(1006);
    const again = await harness.open(connectionId);
    await harness.settle();
    const loop_status = { status: "PROCESSING_API_RESPONSE", active_run_ids: ["r"], client_message_ids_by_run_id: {} };
    again.say({
      type: "update_loop_status",
      runtime,
      loop_status: { ...loop_status, client_message_ids_by_run_id: { r: ["m-1"] } },
    });
    for (const id of ["a", "b"])
      again.say({ type: "stream_delta", runtime, delta: { message_type: "assistant_message", id, content: id } });
    again.say({ type: "turn_finished", runtime, run_id: "r", stop_reason: "end_turn" });
    expect((await retrieve(harness, connectionId, "m-1")).body).toMatchObject({ text: "b", textTruncated: false });
  });

  test("a device that reconnects after the end of a turn reports that it ended, without a reason", async () => {
    const { harness, connectionId, socket } = await startMessage();
    socket.listener.onClose(1006);
    const again = await harness.open(connectionId);
    await harness.settle();
    const loop_status = { status: "WAITING_ON_INPUT", client_message_ids_by_run_id: { "run-1": ["m-1"] } };
    again.say({ type: "update_loop_status", runtime, loop_status });
    expect((await retrieve(harness, connectionId, "m-1")).body).toMatchObject({
      state: "finished",
      stopReason: "unknown",
    });
  });

  test("a reconnect at the start of the next turn does not make the earlier message a part of it", async () => {
    const { harness, connectionId, socket } = await startMessage();
    socket.listener.onClose(1006);
    const again = await harness.open(connectionId);
    await harness.settle();
    // The run of the next turn has not begun.
    const loop_status = {
      status: "SENDING_API_REQUEST",
      active_run_ids: [],
      client_message_ids_by_run_id: { "run-1": ["m-1"] },
    };
    again.say({ type: "update_loop_status", runtime, loop_status });
    expect(await stateOf(harness, connectionId, "m-1")).toBe("unknown");
    again.say({ type: "update_loop_status", runtime, loop_status: { ...loop_status, status: "WAITING_ON_INPUT" } });
    again.say({ type: "turn_finished", runtime, turn_id: "t", stop_reason: "error", error: "The next one failed" });
    await harness.settle();
    const { body } = await retrieve(harness, connectionId, "m-1");
    expect(body).toMatchObject({ state: "finished", stopReason: "unknown" });
    expect(body).not.toHaveProperty("error");
  });

  test("after a reconnect during the next turn, the earlier turn counts as ended at the end of that one", async () => {
    const { harness, connectionId, socket } = await startMessage();
    const second = harness.send(connectionId, { messages: [userMessage("m-2")] });
    await harness.settle();
    socket.acknowledge({ accepted: true, disposition: "queued" });
    await second;
    socket.listener.onClose(1006);
    const again = await harness.open(connectionId);
    await harness.settle();
    const byRun = { "run-1": ["m-1"], "run-2": ["m-2"] };
    const report = (status: string, active: readonly string[]): void => {
      const loop_status = { status, active_run_ids: active, client_message_ids_by_run_id: byRun };
      again.say({ type: "update_loop_status", runtime, loop_status });
    };
    report("PROCESSING_API_RESPONSE", ["run-2"]);
    expect(await stateOf(harness, connectionId, "m-1")).toBe("unknown");
    again.say({
      type: "stream_delta",
      runtime,
      delta: { message_type: "assistant_message", id: "a", content: "second" },
    });
    report("WAITING_ON_INPUT", []);
    again.say({ type: "turn_finished", runtime, turn_id: "t", stop_reason: "end_turn", run_id: "run-2" });
    const { body } = await retrieve(harness, connectionId, "m-1");
    expect(body).toMatchObject({ state: "finished", stopReason: "unknown" });
    expect(body).not.toHaveProperty("text");
    expect((await retrieve(harness, connectionId, "m-2")).body).toMatchObject({
      state: "finished",
      stopReason: "end_turn",
      text: "second",
    });
  });
});

test("a request for permission whose message becomes known after a reconnect is requested again, with the same id and once", async () => {
  const { harness, connectionId, socket } = await startMessage();
  socket.listener.onClose(1006);
  const again = await harness.open(connectionId);
  await harness.settle();
  const sink = await listen(harness, { principal: withApprove });
  again.ask("call-1");
  const loop_status = {
    status: "WAITING_ON_APPROVAL",
    active_run_ids: ["run-1"],
    client_message_ids_by_run_id: { "run-1": ["m-1"] },
  };
  for (let count = 0; count < 2; count += 1) again.say({ type: "update_loop_status", runtime, loop_status });
  await settleEvents(harness);
  expect(sink.events.filter(({ type }) => type === "approval").map(({ data }) => data)).toMatchObject(
    [null, "m-1"].map((clientMessageId) => ({ change: "requested", approval: { id: "call-1", clientMessageId } })),
  );
});

describe("messages whose server was killed before their status was stored", () => {
  const inSqlite = (): EnvironmentStore => createSqliteEnvironmentStore(openSqlite(":memory:"));
  const metadata = { lettaCodeVersion: "0.32.18" };

  /** Sends messages, and starts another server on the same store, to which the device connects. `answers`: acknowledgements; `null`: none. */
  async function restartAfter(
    answers: readonly ({ readonly accepted: boolean; readonly disposition: string } | null)[],
    store = inSqlite(),
  ) {
    const clock = createVirtualClock();
    const neverStored = { ...store, saveMessages: () => new Promise<never>(() => undefined) };
    const before = createHarness({ store: neverStored, clock });
    const body = { deviceId: "device-1", connectionName: "box", metadata };
    const connectionId = await before.register("device-1", { body });
    const socket = await before.open(connectionId);
    for (const [index, answer] of answers.entries()) {
      const sent = before.send(connectionId, { messages: [userMessage(`m-${index + 1}`)] });
      await before.settle();
      if (answer === null) continue;
      socket.acknowledge(answer);
      expect((await sent).status).toBe(200);
    }
    const after = createHarness({ store, clock });
    return { after, connectionId, again: await connect(after, connectionId) };
  }

  async function connect(harness: Harness, connectionId: string): Promise<FakeSocket> {
    const socket = await harness.open(connectionId);
    await harness.settle();
    return socket;
  }

  function report(socket: FakeSocket, status: string, active: readonly string[], byRun: object): void {
    const loop_status = { status, active_run_ids: active, client_message_ids_by_run_id: byRun };
    socket.say({ type: "update_loop_status", runtime, loop_status });
  }

  const started = { accepted: true, disposition: "started" };
  const queued = { accepted: true, disposition: "queued" };
  const list = async (harness: Harness, connectionId: string): Promise<unknown> =>
    (await harness.call("GET", `/v1/environments/${connectionId}/messages`)).body["messages"];

  test.each([
    ["was accepted", started, inSqlite],
    ["was not acknowledged", null, inSqlite],
    [
      "was accepted, with statuses in another log",
      started,
      () => withSeparateLogs(inSqlite(), { messages: createMemoryMessageLog() }),
    ],
  ])(
    "a message that %s before its server was killed continues from the reports of its device, and is listed",
    async (_, answer, createStore) => {
      const { after, connectionId, again } = await restartAfter([answer], createStore());
      expect(again.frames).toMatchObject([{ type: "sync", runtime }]);
      report(again, "PROCESSING_API_RESPONSE", ["run-1"], { "run-1": ["m-1"] });
      expect(await stateOf(after, connectionId, "m-1")).toBe("running");
      again.say({ type: "turn_finished", runtime, turn_id: "t", stop_reason: "end_turn", run_id: "run-1" });
      await after.settle();
      const ended = { state: "finished", stopReason: "end_turn", ...(answer !== null && { disposition: "started" }) };
      expect((await retrieve(after, connectionId, "m-1")).body).toMatchObject(ended);
      expect(await list(after, connectionId)).toMatchObject([{ clientMessageId: "m-1", ...ended }]);
      expect(await after.send(connectionId, { messages: [userMessage("m-1")] })).toMatchObject({ status: 200 });
      expect(again.inputs()).toEqual([]);
    },
  );

  test("a message whose server was killed appears in events from the first report of its device on", async () => {
    const { after, again } = await restartAfter([started]);
    const sink = await listen(after);
    report(again, "PROCESSING_API_RESPONSE", ["run-1"], { "run-1": ["m-1"] });
    again.say({ type: "turn_finished", runtime, turn_id: "t", stop_reason: "end_turn", run_id: "run-1" });
    await settleEvents(after);
    const states = sink.events.filter(({ type }) => type === "message").map(({ data }) => data["message"]);
    expect(states).toMatchObject([
      { clientMessageId: "m-1", state: "running" },
      { clientMessageId: "m-1", state: "finished", stopReason: "end_turn" },
    ]);
  });

  test("a message that waited in the queue of its device when the server was killed has its own turn after the previous one", async () => {
    const { after, connectionId, again } = await restartAfter([started, queued]);
    report(again, "PROCESSING_API_RESPONSE", ["run-1"], { "run-1": ["m-1"] });
    again.say({ type: "update_queue", runtime, queue: [{ client_message_id: "m-2" }], removed: [] });
    again.say({ type: "turn_finished", runtime, turn_id: "t", stop_reason: "end_turn", run_id: "run-1" });
    expect([await stateOf(after, connectionId, "m-1"), await stateOf(after, connectionId, "m-2")]).toEqual([
      "finished",
      "accepted",
    ]);
  });

  test("a message whose server was killed is listed as unknown once its device is back, which is not asked again when it has answered without naming it", async () => {
    const { after, connectionId, again } = await restartAfter([started]);
    report(again, "WAITING_ON_INPUT", [], {});
    again.say({ type: "update_queue", runtime, queue: [], removed: [] });
    await after.clock.advance(1_000);
    again.listener.onClose(1006);
    expect(await list(after, connectionId)).toMatchObject([{ clientMessageId: "m-1", state: "unknown" }]);
    expect((await connect(after, connectionId)).frames).toEqual([]);
  });

  test("a device is not asked about messages whose end was stored before the server was killed", async () => {
    const { after, connectionId, again } = await restartAfter([started]);
    report(again, "PROCESSING_API_RESPONSE", ["run-1"], { "run-1": ["m-1"] });
    again.say({ type: "turn_finished", runtime, turn_id: "t", stop_reason: "end_turn", run_id: "run-1" });
    await after.settle();
    again.listener.onClose(1006);
    expect((await connect(after, connectionId)).frames).toEqual([]);
    expect(await stateOf(after, connectionId, "m-1")).toBe("finished");
  });
});
