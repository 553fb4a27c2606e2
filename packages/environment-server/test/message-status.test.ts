/** The status of messages, as recorded devices of several versions cause it. */
import { openSqlite } from "@letta-environments/platform/node";
import type { Principal } from "@letta-environments/schema";
import { createVirtualClock } from "@letta-environments/testkit";
import { describe, expect, test } from "vitest";
import { maxMessageWaitMs } from "../src/limits.ts";
import { createSqliteEnvironmentStore } from "../src/sqlite.ts";
import type { FakeSocket } from "./support/fake-socket.ts";
import { type Answer, anyone, createHarness, type Harness, userMessage } from "./support/harness.ts";
import { retrieve, runtime, startMessage, stateOf, viewer } from "./support/message-status.ts";
import { connectReplayed, replayedScope } from "./support/replay.ts";

describe("message statuses with a recorded device", () => {
  test("a message to 0.32.18 goes from accepted to finished, with the reason, the duration and the text of the turn", async () => {
    const harness = createHarness();
    const { connectionId, replay } = await connectReplayed(harness, "0.32.18-turn");
    const sent = harness.send(connectionId, { ...replayedScope, messages: [userMessage("m-1")] });
    await harness.settle();
    expect(await stateOf(harness, connectionId, "m-1")).toBe("sent");
    replay();
    await sent;
    expect(await retrieve(harness, connectionId, "m-1")).toMatchObject({
      status: 200,
      body: {
        clientMessageId: "m-1",
        deviceId: "device-recorded",
        ...replayedScope,
        state: "finished",
        disposition: "started",
        stopReason: "end_turn",
        durationMs: 0,
        text: "pong",
        textTruncated: false,
      },
    });
  });

  test.each([
    ["context_window_overflow_in_system_prompt", "context_window_overflow_in_system_prompt"],
    ["Something New", "unknown"],
  ])("a turn that ends with the reason %s is finished", async (reported, stopReason) => {
    const { harness, connectionId, socket } = await startMessage();
    socket.say({ type: "turn_finished", runtime, run_id: null, stop_reason: reported });
    expect((await retrieve(harness, connectionId, "m-1")).body).toMatchObject({ state: "finished", stopReason });
  });

  test("several messages of one send to 0.32.18 share the outcome of their turn", async () => {
    const harness = createHarness();
    const { connectionId, replay } = await connectReplayed(harness, "0.32.18-several-messages");
    const messages = [userMessage("m-1"), userMessage("m-2")];
    const sent = harness.send(connectionId, { ...replayedScope, messages });
    await harness.settle();
    replay();
    await sent;
    for (const id of ["m-1", "m-2"])
      expect((await retrieve(harness, connectionId, id)).body).toMatchObject({ state: "finished", text: "pong" });
  });

  test("a turn of 0.32.18 that fails before its first run is finished with an error", async () => {
    const harness = createHarness();
    const { connectionId, replay } = await connectReplayed(harness, "0.32.18-turn-fails");
    const sent = harness.send(connectionId, { agentId: "agent-local-none", messages: [userMessage("m-1")] });
    await harness.settle();
    replay();
    expect((await sent).status).toBe(200);
    expect((await retrieve(harness, connectionId, "m-1")).body).toMatchObject({
      state: "finished",
      stopReason: "error",
      error: "Agent agent-local-none not found",
    });
  });

  test("a turn of 0.32.18 waits for an approval, and messages that were queued meanwhile are removed or join it", async () => {
    const harness = createHarness();
    const { connectionId, replay } = await connectReplayed(harness, "0.32.18-approval-and-queue");
    const send = (id: string): Promise<Answer> =>
      harness.send(connectionId, { ...replayedScope, messages: [userMessage(id)] });
    const first = send("m-1");
    await harness.settle();
    replay();
    await first;
    expect(await stateOf(harness, connectionId, "m-1")).toBe("waiting_for_approval");
    const others = [send("m-2"), send("m-3")];
    await harness.clock.advance(maxMessageWaitMs);
    replay();
    await Promise.all(others);
    expect((await retrieve(harness, connectionId, "m-2")).body).toMatchObject({
      state: "accepted",
      disposition: "queued",
    });
    // A person removes m-3, and then allows the tool.
    replay();
    expect(await stateOf(harness, connectionId, "m-3")).toBe("cancelled");
    replay();
    await harness.settle();
    const outcome = { state: "finished", stopReason: "end_turn", text: "reflection transcript inspected" };
    for (const id of ["m-1", "m-2"]) expect((await retrieve(harness, connectionId, id)).body).toMatchObject(outcome);
  });

  test("a turn of 0.32.18 that is stopped is cancelled, and what waits behind it stays in the queue", async () => {
    const harness = createHarness();
    const { connectionId, replay } = await connectReplayed(harness, "0.32.18-approval-and-abort");
    for (const id of ["m-1", "m-2"]) {
      const sent = harness.send(connectionId, { ...replayedScope, messages: [userMessage(id)] });
      await harness.settle();
      replay();
      await sent;
    }
    replay();
    await harness.settle();
    expect((await retrieve(harness, connectionId, "m-1")).body).toMatchObject({
      state: "cancelled",
      stopReason: "cancelled",
    });
    expect(await stateOf(harness, connectionId, "m-2")).toBe("accepted");
  });

  test("a turn of 0.25.9 that ends is finished, with its error", async () => {
    const harness = createHarness();
    const { connectionId, replay } = await connectReplayed(harness, "0.25.9-turn-fails");
    const sent = harness.send(connectionId, { ...replayedScope, messages: [userMessage("m-1")] });
    await harness.settle();
    replay();
    await sent;
    expect((await retrieve(harness, connectionId, "m-1")).body).toMatchObject({
      state: "finished",
      disposition: "started",
      stopReason: "error",
      error: "404 {}",
    });
  });

  test("messages that leave the queue of 0.22.4 together share the outcome of their turn", async () => {
    const harness = createHarness();
    const { connectionId, replay } = await connectReplayed(harness, "0.22.4-queue");
    const sent = ["m-1", "m-2", "m-3"].map((id) =>
      harness.send(connectionId, { ...replayedScope, messages: [userMessage(id)] }),
    );
    await harness.clock.advance(maxMessageWaitMs);
    replay();
    await Promise.all(sent);
    for (const id of ["m-1", "m-2", "m-3"])
      expect((await retrieve(harness, connectionId, id)).body).toMatchObject({
        state: "finished",
        stopReason: "error",
      });
  });
});

test("a message that a device drops from a full queue is evicted, and one that was removed from it is cancelled", async () => {
  const { harness, connectionId, socket } = await startMessage("m-0");
  const ids = ["m-1", "m-2"];
  for (const id of ids) {
    const sent = harness.send(connectionId, { messages: [userMessage(id)] });
    await harness.settle();
    socket.acknowledge({ accepted: true, disposition: "queued" });
    await sent;
  }
  const queueOf = (length: number): unknown[] =>
    Array.from({ length }, (_, index) => ({ client_message_id: `other-${index}` }));
  const removedOf = (id: string): unknown[] => [{ client_message_id: id, disposition: "cancelled" }];
  socket.say({ type: "update_queue", runtime, queue: queueOf(100), removed: removedOf("m-1") });
  socket.say({ type: "update_queue", runtime, queue: queueOf(99), removed: removedOf("m-2") });
  expect([await stateOf(harness, connectionId, "m-1"), await stateOf(harness, connectionId, "m-2")]).toEqual([
    "evicted",
    "cancelled",
  ]);
});

test("a message that the device rejects has failed", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  const sent = harness.send(connectionId);
  await harness.settle();
  socket.acknowledge({ accepted: false, error: "Input was rejected by the queue" });
  await sent;
  expect((await retrieve(harness, connectionId, "m-1")).body).toMatchObject({
    state: "failed",
    error: "Input was rejected by the queue",
  });
});

describe("messages whose turn is reported before the end of the previous turn", () => {
  const withPolicy: Principal = { ...anyone, approvalPolicy: { deniedTools: ["Bash"], deadlineMs: null } };
  const connect = async (harness: Harness) => {
    const body = { deviceId: "device-1", connectionName: "box", metadata: { lettaCodeVersion: "0.32.18" } };
    const connectionId = await harness.register("device-1", { body });
    const socket = await harness.open(connectionId);
    const report = (runs: Readonly<Record<string, readonly string[]>>, active: readonly string[]): void => {
      const loop_status = { status: "PROCESSING_API_RESPONSE", active_run_ids: active };
      const listed = { ...loop_status, client_message_ids_by_run_id: runs };
      socket.say({ type: "update_loop_status", runtime, loop_status: listed });
    };
    const say = (content: string): void =>
      socket.say({ type: "stream_delta", runtime, delta: { message_type: "assistant_message", id: content, content } });
    const end = (run_id: string): void =>
      socket.say({ type: "turn_finished", runtime, run_id, stop_reason: "end_turn" });
    return { connectionId, socket, report, say, end };
  };
  /** The state and the text of the message when its turn asks for a permission, and the decision of its sender's policy. */
  const askIn = async (harness: Harness, connectionId: string, socket: FakeSocket): Promise<unknown[]> => {
    socket.ask("call-1");
    await harness.settle();
    const { state, text } = (await retrieve(harness, connectionId, "m-2")).body;
    const decisions = socket.inputs().flatMap(({ payload }) => ("decision" in payload ? [payload.decision] : []));
    return [state, text, decisions];
  };

  test("a message that an early status reports before the end of other messages' turn keeps its state and the policy of its sender", async () => {
    const harness = createHarness();
    const { connectionId, socket, report, say, end } = await connect(harness);
    report({}, ["run-x"]);
    const sent = harness.send(connectionId, { messages: [userMessage("m-2")] }, { principal: withPolicy });
    await harness.settle();
    socket.acknowledge({ accepted: true, disposition: "queued" });
    await sent;
    socket.say({ type: "update_queue", runtime, queue: [{ client_message_id: "m-2" }], removed: [] });
    report({ "run-2": ["m-2"] }, ["run-2"]);
    say("text of others");
    end("run-x");
    const removed = [{ client_message_id: "m-2", disposition: "dequeued" }];
    socket.say({ type: "update_queue", runtime, queue: [], removed });
    expect(await askIn(harness, connectionId, socket)).toMatchObject([
      "waiting_for_approval",
      undefined,
      [{ behavior: "deny" }],
    ]);
  });

  test("a message that is acknowledged before the end of the previous turn keeps its state and the policy of its sender", async () => {
    const harness = createHarness();
    const { connectionId, socket, report, say, end } = await connect(harness);
    const first = harness.send(connectionId, { messages: [userMessage("m-1")] });
    await harness.settle();
    socket.acknowledge();
    await first;
    report({ "run-1": ["m-1"] }, ["run-1"]);
    const sent = harness.send(connectionId, { messages: [userMessage("m-2")] }, { principal: withPolicy });
    await harness.settle();
    socket.acknowledge();
    await sent;
    say("text of m-1");
    report({ "run-1": ["m-1"] }, []);
    end("run-1");
    expect((await retrieve(harness, connectionId, "m-1")).body).toMatchObject({ text: "text of m-1" });
    report({ "run-1": ["m-1"], "run-2": ["m-2"] }, ["run-2"]);
    expect(await askIn(harness, connectionId, socket)).toMatchObject([
      "waiting_for_approval",
      undefined,
      [{ behavior: "deny" }],
    ]);
  });
});

test("after a kill of the server, an unfinished message is unknown until its device reports it; a finished one stays finished", async () => {
  const store = createSqliteEnvironmentStore(openSqlite(":memory:"));
  const clock = createVirtualClock();
  const before = createHarness({ store, clock });
  const { connectionId, socket } = await before.connect("device-1");
  for (const id of ["m-1", "m-2"]) {
    const sent = before.send(connectionId, { messages: [userMessage(id)] });
    await before.settle();
    socket.acknowledge({ accepted: true, disposition: id === "m-1" ? "started" : "queued" });
    await sent;
  }
  socket.say({ type: "turn_finished", runtime, turn_id: "t", stop_reason: "end_turn" });
  await clock.advance(1_000);
  const after = createHarness({ store, clock });
  expect([await stateOf(after, connectionId, "m-1"), await stateOf(after, connectionId, "m-2")]).toEqual([
    "finished",
    "unknown",
  ]);
  const again = await after.open(connectionId);
  await after.settle();
  again.say({ type: "update_queue", runtime, queue: [{ client_message_id: "m-2" }], removed: [] });
  expect(await stateOf(after, connectionId, "m-2")).toBe("accepted");
});

test("a message whose process was killed immediately is unknown, and known to have been accepted", async () => {
  const store = createSqliteEnvironmentStore(openSqlite(":memory:"));
  const clock = createVirtualClock();
  const before = createHarness({ store, clock });
  const { connectionId, socket } = await before.connect("device-1");
  for (const answer of [
    { accepted: true, disposition: "queued" },
    { accepted: false, error: "full" },
  ]) {
    const sent = before.send(connectionId, { messages: [userMessage(String(answer.accepted))] });
    await before.settle();
    socket.acknowledge(answer);
    await sent;
  }
  void before.send(connectionId, { messages: [userMessage("none")] });
  await before.settle();
  const after = createHarness({ store, clock });
  const statuses = await Promise.all(["true", "false", "none"].map((id) => retrieve(after, connectionId, id)));
  expect(statuses.map(({ body }) => [body["state"], body["disposition"], body["error"]])).toEqual([
    ["unknown", "queued", undefined],
    ["failed", undefined, "full"],
    ["unknown", undefined, undefined],
  ]);
});

describe("access to messages", () => {
  test("the text of a message needs the scope view, everything else the scope read", async () => {
    const { harness, connectionId, socket } = await startMessage();
    const delta = { message_type: "assistant_message", id: "a-1", content: "po" };
    socket.say({ type: "stream_delta", runtime, delta });
    socket.say({ type: "stream_delta", runtime, delta: { ...delta, content: "ng" } });
    socket.say({ type: "turn_finished", runtime, turn_id: "t", stop_reason: "end_turn" });
    expect((await retrieve(harness, connectionId, "m-1")).body).toMatchObject({ text: "pong" });
    const { body } = await retrieve(harness, connectionId, "m-1", "", anyone);
    expect(body).toMatchObject({ state: "finished" });
    expect(body).not.toHaveProperty("text");
    const listOnly: Principal = { ...anyone, scopes: new Set(["list"] as const) };
    expect((await retrieve(harness, connectionId, "m-1", "", listOnly)).status).toBe(403);
  });

  test("an unknown message, connection, device, tenant or agent are the same 404", async () => {
    const { harness, connectionId } = await startMessage();
    const answers = [
      await retrieve(harness, connectionId, "m-9"),
      await retrieve(harness, "conn-9", "m-1"),
      await retrieve(harness, connectionId, "m-1", "", { ...viewer, tenant: "other" }),
      await retrieve(harness, connectionId, "m-1", "", { ...viewer, deviceIds: ["device-2"] }),
      await retrieve(harness, connectionId, "m-1", "", { ...viewer, agentIds: ["agent-2"] }),
      await retrieve(harness, connectionId, "m-1", "agentId=agent-2"),
    ];
    for (const answer of answers) expect(answer).toEqual(answers[0]);
    expect(answers[0]).toMatchObject({ status: 404, body: { errorCode: "message_not_found" } });
  });

  test("a message id that several conversations use is 409 until the query selects one", async () => {
    const { harness, connectionId, socket } = await startMessage("a/b ü");
    const sent = harness.send(connectionId, { messages: [userMessage("a/b ü")], conversationId: "conv-2" });
    await harness.settle();
    socket.acknowledge();
    await sent;
    expect(await retrieve(harness, connectionId, "a/b ü")).toMatchObject({
      status: 409,
      body: { errorCode: "message_ambiguous" },
    });
    const selected = await retrieve(harness, connectionId, "a/b ü", "agentId=agent-1&conversationId=conv-2");
    expect(selected.body).toMatchObject({ clientMessageId: "a/b ü", conversationId: "conv-2" });
  });
});
