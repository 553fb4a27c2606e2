/**
 * Requests for permission that a status lists before the device asks. While the link is slow, such a status overtakes the end of the turn before.
 */
import type { ApprovalPolicy } from "@letta-environments/schema";
import { describe, expect, test } from "vitest";
import { allow, decide, payloads } from "./support/decisions.ts";
import type { FakeSocket } from "./support/fake-socket.ts";
import { anyone, createHarness, type Harness, userMessage, withApprove } from "./support/harness.ts";

const runtime = { agent_id: "agent-1", conversation_id: "default" };
const deniesBash: ApprovalPolicy = { deniedTools: ["Bash"], deadlineMs: null };
const deadlineOf = (deadlineMs: number): ApprovalPolicy => ({ deniedTools: [], deadlineMs });

function listRequests(socket: FakeSocket, toolCallIds: readonly string[]): void {
  const pending_control_requests = toolCallIds.map((id) => ({
    request_id: `perm-${id}`,
    request: { subtype: "can_use_tool", tool_name: "Bash", input: {}, tool_call_id: id },
  }));
  socket.say({ type: "update_device_status", runtime, device_status: { pending_control_requests } });
}

function endTurn(socket: FakeSocket, runId: string, stop_reason = "end_turn"): void {
  socket.say({ type: "turn_finished", runtime, turn_id: "t", run_id: runId, stop_reason });
}

/** The queued message begins its turn. */
function dequeue(socket: FakeSocket, id: string): void {
  const removed = [{ client_message_id: id, disposition: "dequeued" }];
  socket.say({ type: "update_queue", runtime, queue: [], removed });
}

/** Sends messages of senders with these policies. The device starts the first one and queues the others. */
async function sendAll(
  harness: Harness,
  { connectionId, socket }: { readonly connectionId: string; readonly socket: FakeSocket },
  policies: readonly (ApprovalPolicy | null)[],
): Promise<void> {
  for (const [index, approvalPolicy] of policies.entries()) {
    const body = { messages: [userMessage(`m-${index + 1}`)] };
    const sent = harness.send(connectionId, body, { principal: { ...anyone, approvalPolicy } });
    await harness.settle();
    socket.acknowledge({ accepted: true, disposition: index === 0 ? "started" : "queued" });
    await sent;
  }
}

async function list(harness: Harness): Promise<unknown> {
  const { body } = await harness.call("GET", "/v1/environments/approvals", { principal: withApprove });
  return body["approvals"];
}

describe("requests listed in an early status, before the end of the previous turn", () => {
  async function setUp(policies: readonly (ApprovalPolicy | null)[] = []) {
    const harness = createHarness();
    const connected = await harness.connect("device-1");
    await sendAll(harness, connected, policies);
    listRequests(connected.socket, ["call-1"]);
    await harness.settle();
    return { harness, ...connected };
  }

  test("a request listed in an early status stays pending, is reported once, and ends with its own turn", async () => {
    const { harness, connectionId, socket } = await setUp();
    const reported = (): unknown[] =>
      harness.events.map(({ type }) => type).filter((type) => type.startsWith("approval"));
    endTurn(socket, "run-1");
    socket.ask("call-1");
    await harness.settle();
    expect(reported()).toEqual(["approval_requested"]);
    endTurn(socket, "run-2", "cancelled");
    expect(reported()).toEqual(["approval_requested", "approval_withdrawn"]);
    expect(await decide(harness, connectionId, [allow])).toMatchObject({ body: { errorCode: "approval_not_found" } });
  });

  test("a request that an early status lists can be decided immediately", async () => {
    const { harness, connectionId, socket } = await setUp();
    endTurn(socket, "run-1");
    const sent = decide(harness, connectionId, [allow]);
    await harness.settle();
    socket.acknowledge();
    expect((await sent).status).toBe(200);
  });

  test("a request that an early status lists is denied by the policy of the sender of its own turn", async () => {
    const { harness, connectionId, socket } = await setUp([null, deniesBash]);
    endTurn(socket, "run-1");
    dequeue(socket, "m-2");
    socket.ask("call-1");
    await harness.settle();
    expect(payloads(socket).at(-1)).toMatchObject({ request_id: "perm-call-1", decision: { behavior: "deny" } });
    expect(await decide(harness, connectionId, [allow])).toMatchObject({ body: { errorCode: "approval_decided" } });
  });

  test("a request that an early status lists is not denied by the policy of the sender of the previous turn", async () => {
    const { harness, socket } = await setUp([deniesBash, null]);
    expect(payloads(socket)).toHaveLength(2);
    endTurn(socket, "run-1");
    dequeue(socket, "m-2");
    socket.ask("call-1");
    await harness.settle();
    expect(payloads(socket)).toHaveLength(2);
    expect(await list(harness)).toMatchObject([{ id: "call-1", clientMessageId: "m-2" }]);
  });

  test("a request listed in an early status does not keep the deadline or message of the previous turn", async () => {
    const { harness, socket } = await setUp([deadlineOf(10_000), deadlineOf(60_000)]);
    expect(await list(harness)).toMatchObject([{ id: "call-1", clientMessageId: null, expiresAt: null }]);
    endTurn(socket, "run-1");
    dequeue(socket, "m-2");
    socket.ask("call-1");
    expect(await list(harness)).toMatchObject([{ id: "call-1", clientMessageId: "m-2" }]);
    await harness.clock.advance(59_999);
    expect(payloads(socket)).toHaveLength(2);
    await harness.clock.advance(1);
    expect(payloads(socket).at(-1)).toMatchObject({ decision: { behavior: "deny" } });
  });

  test.each([
    ["of its own turn", [null, deniesBash]],
    ["of the turn before", [deniesBash, null]],
  ])(
    "a request cannot be allowed before it is known whether the policy of the sender %s denies it",
    async (_, policies) => {
      const { harness, connectionId, socket } = await setUp(policies);
      expect(await list(harness)).toEqual([]);
      expect(await decide(harness, connectionId, [allow])).toMatchObject({ body: { errorCode: "approval_not_found" } });
      expect(payloads(socket)).toHaveLength(2);
    },
  );

  test("a request whose sender is not known yet cannot be allowed, even where the device decides on requests because one of them could not be read", async () => {
    const { harness, connectionId, socket } = await setUp([null, deniesBash]);
    socket.say({ type: "control_request", runtime, request_id: 7, request: {} });
    expect(await decide(harness, connectionId, [allow])).toMatchObject({ body: { errorCode: "approval_not_found" } });
    expect(payloads(socket)).toHaveLength(2);
    listRequests(socket, []);
    const sent = decide(harness, connectionId, [allow]);
    await harness.settle();
    socket.acknowledge();
    expect((await sent).status).toBe(200);
  });

  test("a request that an early status lists is denied immediately by the policy of the key of its device, which applies to all turns", async () => {
    const harness = createHarness();
    const connectionId = await harness.register("device-1");
    const socket = await harness.open(connectionId, { ...anyone, approvalPolicy: deniesBash });
    await sendAll(harness, { connectionId, socket }, [null, deniesBash]);
    listRequests(socket, ["call-1"]);
    await harness.settle();
    expect(payloads(socket).at(-1)).toMatchObject({ decision: { behavior: "deny" } });
  });

  test("a request that disappears from the status has accepted a decision that was made before the end of the previous turn", async () => {
    const { harness, connectionId, socket } = await setUp();
    const sent = decide(harness, connectionId, [allow]);
    await harness.settle();
    endTurn(socket, "run-1");
    socket.ask("call-1");
    listRequests(socket, []);
    await harness.clock.advance(10_000);
    expect((await sent).status).toBe(200);
  });
});

test("a request that only a status lists is withheld even where an earlier one was beyond the limit", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  await sendAll(harness, { connectionId, socket }, [null, deniesBash]);
  for (let index = 0; index < 101; index += 1) socket.ask(`other-${index}`, {}, "agent-2");
  listRequests(socket, ["call-1"]);
  expect(await decide(harness, connectionId, [allow])).toMatchObject({ body: { errorCode: "approval_not_found" } });
  expect(payloads(socket)).toHaveLength(2);
});

test("a withheld request is forgotten when its device disconnects", async () => {
  const harness = createHarness();
  const connected = await harness.connect("device-1");
  await sendAll(harness, connected, [deniesBash]);
  listRequests(connected.socket, ["call-1"]);
  connected.socket.listener.onClose(1006);
  const again = await harness.open(connected.connectionId);
  // So that the device decides on what is not known.
  again.say({ type: "control_request" });
  const decided = decide(harness, connected.connectionId, [allow]);
  await harness.settle();
  again.acknowledge({ accepted: true });
  expect((await decided).status).toBe(200);
});

test("a request beyond the limit has the deadline of its sender when a later status lists it", async () => {
  const harness = createHarness();
  const connected = await harness.connect("device-1");
  await sendAll(harness, connected, [deadlineOf(60_000)]);
  const ids = Array.from({ length: 101 }, (_, index) => `call-${index}`);
  for (const id of ids) connected.socket.ask(id);
  listRequests(connected.socket, ids.slice(99));
  listRequests(connected.socket, ids.slice(99));
  await harness.settle();
  expect(await list(harness)).toMatchObject([
    { id: "call-99", clientMessageId: "m-1", expiresAt: expect.any(Number) },
    { id: "call-100", clientMessageId: "m-1", expiresAt: expect.any(Number) },
  ]);
});

test("a request that only a status lists is denied immediately by the policy of the running turn if its device never asks in a frame, as older ones do", async () => {
  const harness = createHarness();
  const body = { deviceId: "device-1", connectionName: "old", metadata: { lettaCodeVersion: "0.25.9" } };
  const answer = await harness.call("POST", "/v1/environments/register", { body });
  const connectionId = String(answer.body["connectionId"]);
  const socket = await harness.open(connectionId);
  const options = { principal: { ...anyone, approvalPolicy: deniesBash } };
  const sent = harness.send(connectionId, { messages: [userMessage("m-1")] }, options);
  await harness.settle();
  const loop = (status: string): void =>
    socket.say({ type: "update_loop_status", runtime, loop_status: { status, active_run_ids: [] } });
  loop("WAITING_ON_INPUT");
  loop("PROCESSING_API_RESPONSE");
  expect((await sent).status).toBe(200);
  listRequests(socket, ["call-1"]);
  await harness.settle();
  expect(payloads(socket).at(-1)).toMatchObject({ decision: { behavior: "deny" } });
});
