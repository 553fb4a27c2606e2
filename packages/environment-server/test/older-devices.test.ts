/** Devices before 0.30.3 run a message and never acknowledge it. What they report about the conversation is the acknowledgement. */
import { describe, expect, test } from "vitest";
import { lateErrorMs, maxMessageWaitMs } from "../src/limits.ts";
import { allow, decide } from "./support/decisions.ts";
import type { FakeSocket } from "./support/fake-socket.ts";
import { createHarness, type Harness, userMessage, withApprove } from "./support/harness.ts";
import { connectReplayed, replayedScope } from "./support/replay.ts";

const runtime = { agent_id: "agent-1", conversation_id: "default" };

async function connectVersion(harness: Harness, lettaCodeVersion: string) {
  const body = { deviceId: "device-1", connectionName: "box", metadata: { lettaCodeVersion } };
  const connectionId = await harness.register("device-1", { body });
  return { connectionId, socket: await harness.open(connectionId) };
}

function reportStatus(socket: FakeSocket, status: string, about: unknown = runtime): void {
  socket.say({ type: "update_loop_status", runtime: about, loop_status: { status, active_run_ids: [] } });
}

function reportQueue(socket: FakeSocket, ids: readonly string[]): void {
  socket.say({ type: "update_queue", runtime, queue: ids.map((id) => ({ client_message_id: id })) });
}

describe("recorded devices", () => {
  test.each([
    ["0.22.4-turn-fails", 1, "queued"],
    ["0.22.4-several-messages", 2, "queued"],
    ["0.25.9-turn-fails", 1, "started"],
    ["0.25.9-several-messages", 2, "started"],
    ["0.30.28-turn", 1, "started"],
    ["0.32.18-turn", 1, "started"],
    ["0.32.18-several-messages", 2, "started"],
  ] as const)("a device of the recording %s gives a send of %i messages 200 (%s)", async (name, count, disposition) => {
    const harness = createHarness();
    const { connectionId, replay } = await connectReplayed(harness, name);
    const messages = Array.from({ length: count }, (_, index) => userMessage(`m-${index + 1}`));
    const sent = harness.send(connectionId, { ...replayedScope, messages });
    await harness.settle();
    replay();
    expect(await sent).toMatchObject({ status: 200, body: { success: true, disposition } });
  });

  test("a device of version 0.22.4 that queues three sends gets each of them 200 (queued)", async () => {
    const harness = createHarness();
    const { connectionId, replay } = await connectReplayed(harness, "0.22.4-queue");
    const sent = ["m-1", "m-2", "m-3"].map((id) =>
      harness.send(connectionId, { ...replayedScope, messages: [userMessage(id)] }),
    );
    await harness.clock.advance(maxMessageWaitMs);
    replay();
    const answers = await Promise.all(sent);
    expect(answers.map(({ status, body }) => [status, body["disposition"]])).toEqual(Array(3).fill([200, "queued"]));
  });
});

test("the recorded device 0.25.9 reports requests only in its status, which also shows that it accepted the decision", async () => {
  const harness = createHarness();
  const { connectionId, replay } = await connectReplayed(harness, "0.25.9-approval");
  const principal = { ...withApprove, scopes: new Set([...withApprove.scopes, "view"] as const) };
  const send = (body: Parameters<Harness["send"]>[1]) =>
    harness.send(connectionId, { ...replayedScope, ...body }, { principal });
  const stateOf = async (id: string) =>
    (await harness.call("GET", `/v1/environments/${connectionId}/messages/${id}`, { principal })).body;
  for (const id of ["m-1", "m-2"]) {
    const sent = send({ messages: [userMessage(id)] });
    await harness.settle();
    replay();
    expect((await sent).status).toBe(200);
  }
  expect(await stateOf("m-1")).toMatchObject({ state: "finished", text: "pong" });
  expect(await stateOf("m-2")).toMatchObject({ state: "waiting_for_approval" });
  const { body } = await harness.call("GET", "/v1/environments/approvals", { principal });
  expect(body["approvals"]).toMatchObject([
    { tool: "Bash", clientMessageId: "m-2", suggestions: [{ id: "save-default" }] },
  ]);
  const [{ id }] = body["approvals"] as [{ id: string }];
  const decided = send({ messages: [{ type: "approval", approvals: [{ approve: true, tool_call_id: id }] }] });
  await harness.settle();
  replay();
  expect((await decided).status).toBe(200);
  await harness.clock.advance(lateErrorMs);
  expect(await stateOf("m-2")).toMatchObject({ state: "finished", text: "done: made" });
});

describe("devices that do not acknowledge inputs", () => {
  test("a device without acknowledgements has not accepted a decision on a request that is gone because its turn was stopped", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await connectVersion(harness, "0.25.9");
    const reportPending = (...pending: readonly unknown[]): void =>
      socket.say({ type: "update_device_status", runtime, device_status: { pending_control_requests: pending } });
    const request = { subtype: "can_use_tool", tool_name: "Bash", input: {}, tool_call_id: "call-1" };
    reportPending({ request_id: "perm-call-1", request });
    const sent = decide(harness, connectionId, [allow]);
    await harness.settle();
    reportStatus(socket, "WAITING_ON_INPUT");
    reportPending();
    await harness.clock.advance(10_000);
    expect(await sent).toMatchObject({ status: 504, body: { errorCode: "delivery_unknown" } });
    expect(harness.events).toContainEqual(expect.objectContaining({ type: "approval_decided", outcome: "unknown" }));
  });

  test("a device without acknowledgements accepts only the oldest send with the start of its loop, and the same report twice only one", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await connectVersion(harness, "0.25.9");
    const first = harness.send(connectionId, { messages: [userMessage("m-1")] });
    const second = harness.send(connectionId, { messages: [userMessage("m-2")] });
    await harness.settle();
    reportStatus(socket, "SENDING_API_REQUEST");
    reportStatus(socket, "SENDING_API_REQUEST");
    reportStatus(socket, "WAITING_FOR_API_RESPONSE");
    expect((await first).status).toBe(200);
    reportQueue(socket, ["m-2"]);
    expect(await second).toMatchObject({ status: 200, body: { disposition: "queued" } });
  });

  test("a device without acknowledgements accepts nothing with an idle loop, with another conversation, or with a turn that ran before the send", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await connectVersion(harness, "0.25.9");
    reportStatus(socket, "EXECUTING_CLIENT_SIDE_TOOL");
    const sent = harness.send(connectionId);
    await harness.settle();
    reportStatus(socket, "SENDING_API_REQUEST");
    reportStatus(socket, "WAITING_ON_INPUT");
    reportStatus(socket, "SENDING_API_REQUEST", { ...runtime, conversation_id: "conv-2" });
    reportQueue(socket, ["other"]);
    await harness.clock.advance(10_000);
    expect(await sent).toMatchObject({ status: 504, body: { errorCode: "delivery_unknown" } });
  });

  test("a device without acknowledgements accepts and ends nothing while it changes its mode, which is not a turn", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await connectVersion(harness, "0.25.9");
    const sent = harness.send(connectionId);
    await harness.settle();
    // The device had begun to change the mode before the message arrived.
    reportStatus(socket, "EXECUTING_COMMAND");
    reportStatus(socket, "WAITING_ON_INPUT");
    reportStatus(socket, "SENDING_API_REQUEST");
    expect(await sent).toMatchObject({ status: 200, body: { disposition: "started" } });
    const principal = { ...withApprove, scopes: new Set([...withApprove.scopes, "view"] as const) };
    const stateOf = async () =>
      (await harness.call("GET", `/v1/environments/${connectionId}/messages/m-1`, { principal })).body;
    expect(await stateOf()).toMatchObject({ state: "running" });
    const delta = { message_type: "assistant_message", id: "t-1", content: "pong" };
    socket.say({ type: "stream_delta", runtime, delta });
    reportStatus(socket, "WAITING_ON_INPUT");
    await harness.clock.advance(lateErrorMs);
    expect(await stateOf()).toMatchObject({ state: "finished", text: "pong" });
  });

  test("a device of an unknown version accepts a message when it names it, and not when its loop starts", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await harness.connect("device-1");
    const first = harness.send(connectionId, { messages: [userMessage("m-1")] });
    const second = harness.send(connectionId, { messages: [userMessage("m-2")] });
    await harness.settle();
    reportStatus(socket, "SENDING_API_REQUEST");
    reportQueue(socket, ["m-1"]);
    expect(await first).toMatchObject({ status: 200, body: { disposition: "queued" } });
    await harness.clock.advance(10_000);
    expect((await second).status).toBe(504);
  });
});

describe("devices that acknowledge inputs", () => {
  test("a device with acknowledgements may still reject a message that it has reported", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await connectVersion(harness, "0.32.18");
    const sent = harness.send(connectionId);
    await harness.settle();
    reportStatus(socket, "SENDING_API_REQUEST");
    reportQueue(socket, ["m-1"]);
    socket.acknowledge({ accepted: false, error: "full" });
    expect(await sent).toMatchObject({ status: 409, body: { detail: "full" } });
  });

  test("a device with acknowledgements has accepted a message that it reported when its acknowledgement does not arrive in time", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await connectVersion(harness, "0.32.18");
    const reported = harness.send(connectionId, { messages: [userMessage("m-1")] });
    const silent = harness.send(connectionId, { messages: [userMessage("m-2")] });
    await harness.settle();
    reportQueue(socket, ["m-1"]);
    await harness.clock.advance(10_000);
    expect(await reported).toMatchObject({ status: 200, body: { disposition: "queued" } });
    expect((await silent).status).toBe(504);
  });

  test("a device with acknowledgements is recognised by its first acknowledgement, whatever it registered", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await connectVersion(harness, "0.25.9");
    const first = harness.send(connectionId, { messages: [userMessage("m-1")] });
    await harness.settle();
    socket.acknowledge();
    expect((await first).status).toBe(200);
    const second = harness.send(connectionId, { messages: [userMessage("m-2")] });
    await harness.settle();
    reportStatus(socket, "SENDING_API_REQUEST");
    socket.acknowledge({ accepted: false, error: "full" });
    expect((await second).status).toBe(409);
  });
});
