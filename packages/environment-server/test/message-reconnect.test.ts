/** The status of messages whose device is lost in the middle of their turn, and comes back. */
import { describe, expect, test } from "vitest";
import { listen, settleEvents } from "./support/event-streams.ts";
import { userMessage, withApprove } from "./support/harness.ts";
import { retrieve, runtime, startMessage, stateOf } from "./support/message-status.ts";

describe("a device that is lost in the middle of a turn", () => {
  test("leaves its message unknown, and never finished", async () => {
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

  test("and does not know its messages is not asked about them again, and is until it has answered", async () => {
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

  test("and comes back says that the turn still runs, and how it ends", async () => {
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

  test("and comes back has a text that is truncated, unless all of it was said after that", async () => {
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

  test("and comes back has a whole text if the agent begins another one", async () => {
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

  test("and comes back after the end says that the turn has ended, without a reason", async () => {
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

  test("and comes back at the start of the next turn does not make the earlier message a part of it", async () => {
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

  test("and comes back during the next turn says at the end of that one that the earlier one has ended", async () => {
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
