/** Rates of what frames change: no device may fill the events and the log that all share with a few small frames. */
import { expect, test } from "vitest";
import type { FakeSocket } from "./support/fake-socket.ts";
import { anyone, createHarness, type Harness, userMessage, withApprove } from "./support/harness.ts";

const tooMany = { code: 1013, reason: "The device sends more than 20 new requests for permission per second" };

/** Reports that a conversation has `count` pending requests. */
function list(socket: FakeSocket, count: number, input: string = "ls", conversationId: string = "default"): void {
  const pending_control_requests = Array.from({ length: count }, (_, index) => ({
    request_id: `perm-${index}`,
    request: { subtype: "can_use_tool", tool_name: "Bash", tool_call_id: `call-${index}`, input: { command: input } },
  }));
  const runtime = { agent_id: "agent-1", conversation_id: conversationId };
  socket.say({ type: "update_device_status", runtime, device_status: { pending_control_requests } });
}

function endTurn(socket: FakeSocket): void {
  const runtime = { agent_id: "agent-1", conversation_id: "default" };
  socket.say({
    type: "update_loop_status",
    runtime,
    loop_status: { status: "WAITING_ON_INPUT", active_run_ids: [] },
  });
}

function countEvents({ events }: Harness): number {
  return events.filter(({ type }) => type === "approval_requested" || type === "approval_withdrawn").length;
}

async function countListed(harness: Harness): Promise<unknown> {
  const { body } = await harness.call("GET", "/v1/environments/approvals", {
    principal: withApprove,
    query: "limit=100",
  });
  return (body["approvals"] as unknown[]).length;
}

test.each<[string, (socket: FakeSocket, turn: number) => void]>([
  ["the input of 100 requests alternates", (socket, turn) => list(socket, 100, String(turn % 2))],
  ["100 requests and none alternate", (socket, turn) => list(socket, turn % 2 === 0 ? 100 : 0)],
  [
    "100 requests alternate with ends of turns",
    (socket, turn) => (turn % 2 === 0 ? list(socket, 100) : endTurn(socket)),
  ],
])("a device is closed with 1013, and records little, when %s", async (_, report) => {
  const harness = createHarness();
  const { socket } = await harness.connect("device-1");
  for (let turn = 0; turn < 200; turn++) report(socket, turn);
  expect(socket.closes).toEqual([tooMany]);
  expect(countEvents(harness)).toBeLessThan(500);
});

test("a list that is repeated costs nothing, and neither do the ends of its requests", async () => {
  const harness = createHarness();
  const { socket } = await harness.connect("device-1");
  for (let turn = 0; turn < 50; turn++) list(socket, 100);
  list(socket, 0);
  list(socket, 100);
  expect(socket.closes).toEqual([]);
  expect(countEvents(harness)).toBe(300);
});

test("a device may reconnect with all its pending requests, and each of them may have changed", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  const reportAll = (to: FakeSocket, input: string): void => {
    for (let conversation = 0; conversation < 10; conversation++) list(to, 10, input, `conv-${conversation}`);
  };
  reportAll(socket, "ls");
  let current = socket;
  for (let reconnect = 0; reconnect < 5; reconnect++) {
    current.listener.onClose(1006);
    current = await harness.open(connectionId);
    reportAll(current, `${reconnect}`);
    reportAll(current, `${reconnect}`);
    expect(await countListed(harness)).toBe(100);
  }
  expect(current.closes).toEqual([]);
});

test("a device with several conversations may ask twenty times a second for as long as it wants", async () => {
  const harness = createHarness();
  const { socket } = await harness.connect("device-1");
  for (let second = 0; second < 100; second++) {
    for (let conversation = 0; conversation < 20; conversation++) {
      list(socket, 1, `${second}`, `conv-${conversation}`);
      list(socket, 0, "", `conv-${conversation}`);
    }
    await harness.clock.advance(1_000);
    if (second % 60 === 0) socket.say({ type: "ping" });
  }
  expect(socket.closes).toEqual([]);
});

test("requests for which there is no room cost nothing, however often they are listed", async () => {
  const harness = createHarness();
  const { socket } = await harness.connect("device-1");
  list(socket, 100);
  for (let turn = 0; turn < 100; turn++) list(socket, 100, "ls", "conv-2");
  expect(socket.closes).toEqual([]);
  expect(await countListed(harness)).toBe(100);
});

/** Sends 100 messages in one body, which start a turn. */
async function startTurn(harness: Harness, connectionId: string, socket: FakeSocket, conversationId: string) {
  const messages = Array.from({ length: 100 }, (_, index) => userMessage(`${conversationId}-${index}`));
  const sent = harness.send(connectionId, { conversationId, messages });
  await harness.settle();
  socket.acknowledge();
  expect((await sent).status).toBe(200);
}

function reportLoop(socket: FakeSocket, status: string, conversationId: string): void {
  const runtime = { agent_id: "agent-1", conversation_id: conversationId };
  socket.say({ type: "update_loop_status", runtime, loop_status: { status, active_run_ids: ["run-1"] } });
}

test("a device that changes the states of many messages with each frame is closed with 1013", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  await startTurn(harness, connectionId, socket, "conv-1");
  let frames = 0;
  for (; frames < 500 && socket.closes.length === 0; frames++)
    reportLoop(socket, frames % 2 === 0 ? "WAITING_ON_APPROVAL" : "PROCESSING_API_RESPONSE", "conv-1");
  expect(socket.closes).toEqual([
    { code: 1013, reason: "The device sends more than 2000 messages that begin to wait per second" },
  ]);
  expect(frames).toBeLessThan(450);
});

test("no number of messages that its callers send closes a device that runs each of them once", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  for (let turn = 0; turn < 250; turn++) {
    await startTurn(harness, connectionId, socket, `conv-${turn}`);
    reportLoop(socket, "PROCESSING_API_RESPONSE", `conv-${turn}`);
    reportLoop(socket, "WAITING_ON_INPUT", `conv-${turn}`);
  }
  expect(socket.closes).toEqual([]);
});

test("denials of requests that are not remembered count as requests", async () => {
  const harness = createHarness();
  const connectionId = await harness.register("device-1");
  const approvalPolicy = { deniedTools: ["Bash"], deadlineMs: null };
  const socket = await harness.open(connectionId, { ...anyone, approvalPolicy });
  const report = (tool_name: string, conversation_id: string, first: number): void => {
    const pending_control_requests = Array.from({ length: 100 }, (_, index) => ({
      request_id: `perm-${first + index}`,
      request: { subtype: "can_use_tool", tool_name, tool_call_id: `call-${first + index}`, input: {} },
    }));
    const runtime = { agent_id: "agent-1", conversation_id };
    socket.say({ type: "update_device_status", runtime, device_status: { pending_control_requests } });
  };
  report("Read", "default", 0);
  for (let first = 100; first < 2_000 && socket.closes.length === 0; first += 100) {
    report("Bash", "conv-2", first);
    await harness.settle();
    for (const { request_id } of socket.inputs()) socket.acknowledge({ accepted: true }, request_id);
    await harness.settle();
  }
  expect(socket.closes).toEqual([tooMany]);
});

test("a turn of 100 messages may wait for two decisions in each second", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  await startTurn(harness, connectionId, socket, "conv-1");
  for (let halfSecond = 0; halfSecond < 200; halfSecond++) {
    reportLoop(socket, "WAITING_ON_APPROVAL", "conv-1");
    reportLoop(socket, "PROCESSING_API_RESPONSE", "conv-1");
    if (halfSecond % 60 === 0) socket.say({ type: "ping" });
    await harness.clock.advance(500);
  }
  expect(socket.closes).toEqual([]);
});

test("a device may reconnect with 1,000 messages in its turns", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  const conversations = Array.from({ length: 10 }, (_, index) => `conv-${index}`);
  for (const conversationId of conversations) await startTurn(harness, connectionId, socket, conversationId);
  await harness.clock.advance(2_000);
  socket.listener.onClose(1006);
  const again = await harness.open(connectionId);
  await harness.settle();
  for (const conversationId of conversations) {
    const ids = Array.from({ length: 100 }, (_, index) => `${conversationId}-${index}`);
    const loop_status = { status: "WAITING_ON_APPROVAL", active_run_ids: ["run-1"] };
    again.say({
      type: "update_loop_status",
      runtime: { agent_id: "agent-1", conversation_id: conversationId },
      loop_status: { ...loop_status, client_message_ids_by_run_id: { "run-1": ids } },
    });
  }
  expect(again.closes).toEqual([]);
  const { body } = await harness.call("GET", `/v1/environments/${connectionId}/messages/conv-9-99`);
  expect(body["state"]).toBe("waiting_for_approval");
});
