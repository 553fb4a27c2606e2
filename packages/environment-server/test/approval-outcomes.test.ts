/** The outcome of an approval decision: acknowledged, rejected, repeated or unknown. */
import { describe, expect, test } from "vitest";
import { maxReasonLength } from "../src/dialects/approval-requests.ts";
import { maxApprovalsPerDevice } from "../src/limits.ts";
import { allow, connectAsking, decide, noLongerPending, payloads } from "./support/decisions.ts";
import { createHarness, type Harness, withApprove } from "./support/harness.ts";
import { runtime } from "./support/message-status.ts";

/** Connects a device with two requests for permission. The first one was allowed. */
async function connectDecided(harness: Harness) {
  const connected = await connectAsking(harness);
  const sent = decide(harness, connected.connectionId, [allow]);
  await harness.settle();
  connected.socket.acknowledge({ accepted: true });
  await sent;
  return connected;
}

test("a repeated decision receives the first result and is not sent again", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await connectDecided(harness);
  const repeat = await decide(harness, connectionId, [allow]);
  expect(repeat).toMatchObject({ status: 200, headers: { "idempotency-replayed": "true" } });
  expect(socket.inputs()).toHaveLength(1);
});

test("a different decision on the same tool call is 409 approval_decided naming it, which clients do not retry", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await connectDecided(harness);
  expect(await decide(harness, connectionId, [{ ...allow, approve: false }])).toMatchObject({
    status: 409,
    headers: { "x-should-retry": "false" },
    body: { errorCode: "approval_decided", errors: [{ member: "messages[0].approvals[0].tool_call_id" }] },
  });
  expect(socket.inputs()).toHaveLength(1);
});

test("a key below the mode of the conversation does not see a decided request, and its repeat of the same decision receives the first result", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await connectDecided(harness);
  const device_status = { current_permission_mode: "unrestricted" };
  socket.say({ type: "update_device_status", runtime, device_status });
  const strict = { principal: { ...withApprove, maxMode: "standard" as const } };
  const deny = { ...allow, approve: false };
  for (const decisions of [[deny], [{ ...allow, tool_call_id: "call-2" }, deny]]) {
    const { status, body } = await decide(harness, connectionId, decisions, strict);
    expect([status, body["errorCode"], body["approval"]]).toEqual([403, "mode_not_allowed", undefined]);
  }
  expect(await decide(harness, connectionId, [allow], strict)).toMatchObject({ status: 200 });
  expect(await decide(harness, connectionId, [deny])).toMatchObject({ body: { errorCode: "approval_decided" } });
});

test("a key that may not see a decided request because a change of the mode is not reported yet may retry its decision", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await connectDecided(harness);
  socket.say({ type: "update_device_status", runtime, device_status: { current_permission_mode: "standard" } });
  const body = { agentId: "agent-1", mode: "unrestricted" };
  const principal = { ...withApprove, scopes: new Set(["control"] as const) };
  void harness.call("POST", `/v1/environments/${connectionId}/mode`, { body, principal });
  await harness.settle();
  const strict = { principal: { ...withApprove, maxMode: "standard" as const } };
  const { headers, body: refusal } = await decide(harness, connectionId, [{ ...allow, approve: false }], strict);
  expect(refusal).toMatchObject({ errorCode: "mode_not_allowed", message: expect.stringContaining("not reported") });
  expect(headers["x-should-retry"]).toBe("true");
});

test("the device receives the whole reason of a decision, and approval_decided shows its start and its end", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await connectAsking(harness);
  const reason = `start ${"x".repeat(70_000)} end`;
  const sent = decide(harness, connectionId, [{ ...allow, approve: false, reason }]);
  await harness.settle();
  expect(payloads(socket)).toMatchObject([{ decision: { message: reason } }]);
  socket.acknowledge({ accepted: true });
  await sent;
  const { body } = await decide(harness, connectionId, [allow]);
  const { approval } = body as { readonly approval: { readonly reason: string } };
  expect(approval.reason).toMatch(/^start x+…\[\d+ characters are not shown\]…x+ end$/);
  expect(approval.reason.length).toBeLessThanOrEqual(maxReasonLength);
});

test("a decision that the device rejected had no effect, so it can be sent again when the device asks again", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await connectAsking(harness);
  for (const accepted of [false, true]) {
    const sent = decide(harness, connectionId, [allow]);
    await harness.settle();
    socket.acknowledge(accepted ? { accepted } : noLongerPending);
    expect(await sent).toMatchObject(
      accepted ? { status: 200 } : { status: 409, body: { detail: noLongerPending.error } },
    );
    socket.ask("call-1");
  }
  expect(socket.inputs()).toHaveLength(2);
});

test("a decision that the device rejects late can be sent again, as if it had been rejected in time", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await connectAsking(harness);
  const sent = decide(harness, connectionId, [allow]);
  await harness.clock.advance(10_000);
  expect((await sent).status).toBe(504);
  socket.acknowledge(noLongerPending);
  await harness.settle();
  socket.ask("call-1");
  const again = decide(harness, connectionId, [allow]);
  await harness.settle();
  socket.acknowledge({ accepted: true });
  expect((await again).status).toBe(200);
  expect(socket.inputs()).toHaveLength(2);
});

test("if the caller disconnects before the first frame is acknowledged, the remaining frames are not sent, and the result says which was delivered", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await connectAsking(harness);
  const caller = new AbortController();
  const second = { ...allow, tool_call_id: "call-2" };
  const options = { principal: withApprove, signal: caller.signal };
  const sent = decide(harness, connectionId, [allow, second], options);
  await harness.settle();
  const gone = new Error("gone");
  caller.abort(gone);
  socket.acknowledge({ accepted: true });
  const detail = expect.stringContaining("1 of 2 parts of the body were delivered");
  expect(await sent).toMatchObject({ body: { errorCode: "input_rejected", detail } });
  await harness.settle();
  expect(payloads(socket)).toMatchObject([{ request_id: "perm-call-1" }]);
});

test("a decision without an acknowledgement is 504, and its repeat sends nothing", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await connectAsking(harness);
  const sent = decide(harness, connectionId, [allow]);
  await harness.clock.advance(10_000);
  for (const answer of [await sent, await decide(harness, connectionId, [allow])]) {
    expect(answer).toMatchObject({ status: 504, body: { errorCode: "delivery_unknown" } });
  }
  expect(socket.inputs()).toHaveLength(1);
});

describe("decisions that count as accepted because the device no longer lists the request", () => {
  const status = { type: "update_device_status", device_status: { pending_control_requests: [] } };
  const runtime = { agent_id: "agent-1", conversation_id: "default" };

  async function decideAndTake(harness: Harness) {
    const { connectionId, socket } = await harness.connect("device-1");
    socket.ask("call-1");
    const sent = decide(harness, connectionId, [allow]);
    await harness.settle();
    socket.say({ ...status, runtime });
    return { connectionId, socket, sent };
  }

  test("a decision on a request that is gone is accepted although its acknowledgement is late: 0.32.18 acknowledges one after a recovery when the rest of the turn is over", async () => {
    const harness = createHarness();
    const { connectionId, sent } = await decideAndTake(harness);
    await harness.clock.advance(10_000);
    expect(await sent).toMatchObject({ status: 200, body: { success: true } });
    expect(await decide(harness, connectionId, [{ ...allow, approve: false }])).toMatchObject({
      status: 409,
      body: { errorCode: "approval_decided", approval: { decision: "allow" } },
    });
  });

  test("a decision on a request that is gone is still rejected if the device says so before its acknowledgement is overdue", async () => {
    const harness = createHarness();
    const { socket, sent } = await decideAndTake(harness);
    await harness.clock.advance(9_999);
    socket.acknowledge(noLongerPending);
    expect(await sent).toMatchObject({ status: 409, body: { errorCode: "input_rejected" } });
  });

  test("a decision on a request that is gone had no effect if the device rejects it later, and a repeat does not count as accepted", async () => {
    const harness = createHarness();
    const { connectionId, socket, sent } = await decideAndTake(harness);
    await harness.clock.advance(10_000);
    expect((await sent).status).toBe(200);
    socket.acknowledge(noLongerPending);
    await harness.settle();
    const rejected = { type: "message_acknowledged", accepted: false, late: true };
    expect(harness.events).toContainEqual(expect.objectContaining(rejected));
    expect(await decide(harness, connectionId, [allow])).toMatchObject({ body: { errorCode: "approval_not_found" } });
  });

  test("a decision on a request that is gone had no effect if the device rejects it later, even if only its repeat can free its id", async () => {
    const harness = createHarness();
    const { connectionId, socket, sent } = await decideAndTake(harness);
    await harness.clock.advance(10_000);
    expect((await sent).status).toBe(200);
    const { forget } = harness.store;
    Object.assign(harness.store, { forget: () => Promise.reject(new Error("disk full")) });
    socket.acknowledge(noLongerPending);
    await harness.settle();
    Object.assign(harness.store, { forget });
    for (let repeat = 0; repeat < 2; repeat++) {
      expect(await decide(harness, connectionId, [allow])).toMatchObject({ body: { errorCode: "approval_not_found" } });
    }
  });

  test("a decision on a request that is gone is unknown if the socket is lost before the device acknowledges it", async () => {
    const { socket, sent } = await decideAndTake(createHarness());
    socket.listener.onClose(1006);
    expect(await sent).toMatchObject({ status: 504, body: { errorCode: "delivery_unknown" } });
  });

  test.each([
    [
      "the loop is idle",
      { type: "update_loop_status", loop_status: { status: "WAITING_ON_INPUT", active_run_ids: [] } },
    ],
    ["the turn ends", { type: "turn_finished", turn_id: "turn-1", run_id: "run-1", stop_reason: "cancelled" }],
  ])(
    "a decision is unknown when %s before the request is gone: the turn was stopped without the decision",
    async (_, ended) => {
      const harness = createHarness();
      const { connectionId, socket } = await connectAsking(harness);
      const sent = decide(harness, connectionId, [allow]);
      await harness.settle();
      socket.say({ ...ended, runtime });
      socket.say({ ...status, runtime });
      await harness.clock.advance(10_000);
      expect(await sent).toMatchObject({ status: 504, body: { errorCode: "delivery_unknown" } });
    },
  );

  test("a decision is unknown when a stop ended the turn of a request that only a status has listed, as after a restart", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await harness.connect("device-1");
    const asked = { subtype: "can_use_tool", tool_name: "Bash", input: {}, tool_call_id: "call-1" };
    const pending_control_requests = [{ request_id: "perm-call-1", request: asked }];
    socket.say({ ...status, runtime, device_status: { pending_control_requests } });
    const sent = decide(harness, connectionId, [allow]);
    await harness.settle();
    const idle = { status: "WAITING_ON_INPUT", active_run_ids: [] };
    socket.say({ type: "update_loop_status", runtime, loop_status: idle });
    socket.say({ type: "turn_finished", runtime, turn_id: "turn-1", run_id: "run-1", stop_reason: "cancelled" });
    socket.say({ ...status, runtime });
    await harness.clock.advance(10_000);
    expect(await sent).toMatchObject({ status: 504, body: { errorCode: "delivery_unknown" } });
  });
});

test("a decision on a request that is made again after the end of a turn is accepted when the request is gone", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  const runtime = { agent_id: "agent-1", conversation_id: "default" };
  socket.ask("call-1");
  const sent = decide(harness, connectionId, [allow]);
  await harness.settle();
  socket.say({ type: "update_loop_status", runtime, loop_status: { status: "WAITING_ON_INPUT", active_run_ids: [] } });
  socket.ask("call-1");
  socket.say({ type: "update_device_status", runtime, device_status: { pending_control_requests: [] } });
  await harness.clock.advance(10_000);
  expect((await sent).status).toBe(200);
});

test("a decision on a request that was beyond the limit is not sent again when there is room and the device asks again", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  for (let call = 0; call < maxApprovalsPerDevice; call += 1) socket.ask(`other-${call}`, {}, "agent-2");
  socket.ask("call-1");
  const first = decide(harness, connectionId, [allow]);
  await harness.settle();
  const idle = { status: "WAITING_ON_INPUT", active_run_ids: [] };
  const runtime = { agent_id: "agent-2", conversation_id: "default" };
  socket.say({ type: "update_loop_status", runtime, loop_status: idle });
  socket.ask("call-1");
  const repeat = decide(harness, connectionId, [allow]);
  await harness.settle();
  expect(payloads(socket)).toHaveLength(1);
  socket.acknowledge({ accepted: true });
  expect(await Promise.all([first, repeat])).toMatchObject([{ status: 200 }, { status: 200 }]);
});

test("a decision with requested_at is never left to the device, even if one of the device's frames was not understood", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  socket.say({ type: "control_request", request_id: 1 });
  expect(harness.events).toContainEqual(expect.objectContaining({ type: "frame_ignored" }));
  const named = decide(harness, connectionId, [{ ...allow, requested_at: 1 }]);
  await harness.settle();
  expect(payloads(socket)).toEqual([]);
  expect(await named).toMatchObject({ status: 404, body: { errorCode: "approval_not_found" } });
  const sent = decide(harness, connectionId, [allow]);
  await harness.settle();
  socket.acknowledge(noLongerPending);
  expect(await sent).toMatchObject({ status: 409, body: { errorCode: "input_rejected" } });
});

test("decisions on unknown requests are left to the device only until the end of the socket on which there were too many", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  for (let call = 0; call <= maxApprovalsPerDevice; call += 1) socket.ask(`other-${call}`);
  socket.listener.onClose(1006);
  const again = await harness.open(connectionId);
  const decided = decide(harness, connectionId, [allow]);
  await harness.settle();
  expect(payloads(again)).toEqual([]);
  expect(await decided).toMatchObject({ status: 404, body: { errorCode: "approval_not_found" } });
});

test("a failure of the store is not mistaken for a disconnected caller", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await connectAsking(harness);
  const caller = new AbortController();
  const options = { principal: withApprove, signal: caller.signal };
  const sent = decide(harness, connectionId, [allow, { ...allow, tool_call_id: "call-2" }], options);
  await harness.settle();
  const cause = new Error("disk full");
  const fail = (): Promise<never> => {
    caller.abort();
    return Promise.reject(cause);
  };
  Object.assign(harness.store, { reserve: fail });
  socket.acknowledge({ accepted: true });
  expect((await sent).status).toBe(500);
  expect(harness.events).toContainEqual(expect.objectContaining({ type: "request_failed", cause }));
});
