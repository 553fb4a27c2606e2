/** Devices with the API backend, whose turns fail because this server has no agents API. */
import { problemBody } from "@letta-environments/schema";
import { expect, test } from "vitest";
import type { FakeSocket } from "./support/fake-socket.ts";
import { type Answer, createHarness, type Harness, userMessage, withApprove } from "./support/harness.ts";

const runtime = { agent_id: "agent-1", conversation_id: "default" };
const missing = problemBody("endpoint_not_found").detail;

function failTurn(socket: FakeSocket, error: string): void {
  socket.say({ type: "turn_finished", runtime, stop_reason: "error", error });
}

async function send(harness: Harness, connectionId: string, socket: FakeSocket, id: string): Promise<Answer> {
  const before = socket.inputs().length;
  const sent = harness.send(connectionId, { messages: [userMessage(id)] });
  await harness.settle();
  if (socket.inputs().length > before) socket.acknowledge();
  return sent;
}

const shownProblem = async (harness: Harness): Promise<unknown> =>
  (await harness.call("GET", "/v1/environments/device-1")).body["sendProblem"];

test("after a turn failed for lack of an agents API, the row says so and messages are refused with the backend to choose", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  expect((await send(harness, connectionId, socket, "m-1")).status).toBe(200);
  expect(await shownProblem(harness)).toBeUndefined();
  failTurn(socket, missing);
  expect(await shownProblem(harness)).toBe("agents_api_missing");
  expect(await send(harness, connectionId, socket, "m-2")).toMatchObject({
    status: 409,
    headers: { "x-should-retry": "false" },
    body: { errorCode: "agents_api_missing", detail: expect.stringContaining("--backend local") },
  });
  expect(socket.inputs()).toHaveLength(1);
  // A repeat still receives its first result, and a decision is not a message.
  expect((await send(harness, connectionId, socket, "m-1")).status).toBe(200);
  socket.ask("call-1");
  const approvals = [{ approve: false, tool_call_id: "call-1" }];
  const body = { agentId: "agent-1", messages: [{ type: "approval", approvals }] };
  const decided = harness.call("POST", `/v1/environments/${connectionId}/messages`, { body, principal: withApprove });
  await harness.settle();
  socket.acknowledge({ accepted: true });
  expect((await decided).status).toBe(200);
});

test("a missing agents API is remembered across reconnects, until a new registration or a successful turn", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  socket.say({
    type: "stream_delta",
    delta: { message_type: "loop_error", message: `404 ${missing}`, is_terminal: true },
    runtime,
  });
  socket.listener.onClose(1006);
  const again = await harness.open(connectionId);
  expect(await shownProblem(harness)).toBe("agents_api_missing");
  again.say({ type: "turn_finished", runtime, stop_reason: "end_turn" });
  expect(await shownProblem(harness)).toBeUndefined();
  failTurn(again, missing);
  const restarted = await harness.connect("device-1");
  expect(await shownProblem(harness)).toBeUndefined();
  expect((await send(harness, restarted.connectionId, restarted.socket, "m-1")).status).toBe(200);
});

test("other errors of turns do not mark the agents API as missing", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  failTurn(socket, "Agent agent-1 not found");
  expect(await shownProblem(harness)).toBeUndefined();
  expect((await send(harness, connectionId, socket, "m-1")).status).toBe(200);
});
