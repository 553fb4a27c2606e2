/** Approval decisions: responses to a device's requests for permission to use a tool. */
import { describe, expect, test } from "vitest";
import { allow, connectAsking, decide, noLongerPending, payloads, type Decision } from "./support/decisions.ts";
import { anyone, createHarness, type Harness, userMessage, withApprove, type CallOptions } from "./support/harness.ts";

describe("suggestions of a request", () => {
  const selected: Decision = { ...allow, selected_permission_suggestion_ids: ["save-default"] };
  const suggestions = { permission_suggestions: [{ id: "save-default", text: "Yes, and do not ask again" }] };

  test("suggestions are passed to the device when a decision selects them", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await harness.connect("device-1");
    socket.ask("call-1", suggestions);
    const sent = decide(harness, connectionId, [selected]);
    await harness.settle();
    const decision = { behavior: "allow", selected_permission_suggestion_ids: ["save-default"] };
    expect(payloads(socket)).toEqual([{ kind: "approval_response", request_id: "perm-call-1", decision }]);
    socket.acknowledge({ accepted: true });
    expect(await sent).toMatchObject({ status: 200 });
  });

  test.each<[string, Decision, CallOptions, number, string]>([
    ["of another request", selected, { principal: withApprove }, 400, "invalid_request"],
    ["in a denial", { ...selected, approve: false }, { principal: withApprove }, 400, "invalid_request"],
    [
      "by a key with a maximum mode",
      selected,
      { principal: { ...withApprove, maxMode: "standard" } },
      403,
      "insufficient_scope",
    ],
    [
      "by a key for one agent",
      selected,
      { principal: { ...withApprove, agentIds: ["agent-1"] } },
      403,
      "insufficient_scope",
    ],
    [
      "by a key that denies tools",
      selected,
      { principal: { ...withApprove, approvalPolicy: { deniedTools: ["Bash"], deadlineMs: null } } },
      403,
      "insufficient_scope",
    ],
  ])(
    "suggestions that are selected %s are refused, and nothing is sent",
    async (why, decision, options, status, code) => {
      const harness = createHarness();
      const { connectionId, socket } = await harness.connect("device-1");
      socket.ask("call-1", why === "of another request" ? {} : suggestions);
      expect(await decide(harness, connectionId, [decision], options)).toMatchObject({
        status,
        body: { errorCode: code },
      });
      expect(socket.frames).toEqual([]);
    },
  );
});

describe("the frame of a decision", () => {
  test.each<[string, Decision, unknown]>([
    ["an approval", allow, { behavior: "allow" }],
    ["an approval with null members", { ...allow, reason: null, updated_input: null }, { behavior: "allow" }],
    [
      "an approval with a reason and another input",
      { ...allow, type: "approval", reason: "fine", updated_input: { command: "ls" } },
      { behavior: "allow", message: "fine", updated_input: { command: "ls" } },
    ],
    ["an approval without suggestions", { ...allow, selected_permission_suggestion_ids: [] }, { behavior: "allow" }],
    ["a denial", { ...allow, approve: false, reason: "too risky" }, { behavior: "deny", message: "too risky" }],
    [
      "a denial without a reason",
      { ...allow, approve: false },
      { behavior: "deny", message: "The request was denied." },
    ],
    [
      "a denial with a blank reason",
      { ...allow, approve: false, reason: " " },
      { behavior: "deny", message: "The request was denied." },
    ],
  ])("a decision is sent as an approval_response for %s", async (_, approval, decision) => {
    const harness = createHarness();
    const { connectionId, socket } = await connectAsking(harness);
    const sent = decide(harness, connectionId, [approval]);
    await harness.settle();
    expect(socket.frames).toEqual([
      {
        type: "input",
        request_id: expect.stringMatching(/^msg-/),
        runtime: { agent_id: "agent-1", conversation_id: "default" },
        payload: { kind: "approval_response", request_id: "perm-call-1", decision },
      },
    ]);
    socket.acknowledge({ accepted: true });
    expect(await sent).toMatchObject({ status: 200, body: { success: true } });
  });
});

test("a principal without the scope 'approve' is refused, and nothing is sent", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await connectAsking(harness);
  const answer = await decide(harness, connectionId, [allow], { principal: anyone });
  expect(answer).toMatchObject({ status: 403, body: { errorCode: "insufficient_scope" } });
  expect(answer.body["detail"]).toContain("'approve'");
  expect(socket.frames).toEqual([]);
});

test("a decision with the id of a message is a different message, and does not count as queued", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await connectAsking(harness);
  socket.onFrame = ({ request_id: requestId }) =>
    socket.acknowledge({ accepted: true, disposition: "queued" }, String(requestId));
  expect((await harness.send(connectionId, { messages: [userMessage("call-1")] })).status).toBe(200);
  expect(await decide(harness, connectionId, [allow])).not.toHaveProperty("headers.idempotency-replayed");
  // 98 more fit into the queue of 100 if the decision takes no place.
  const more = Array.from({ length: 99 }, (_, index) => userMessage(`more-${index}`));
  expect((await harness.send(connectionId, { messages: more })).status).toBe(200);
  expect((await harness.send(connectionId, { messages: [userMessage("too-many")] })).status).toBe(429);
});

test("a caller without the scope 'approve' cannot block a decision with a message id", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await connectAsking(harness);
  socket.onFrame = ({ request_id: requestId }) => socket.acknowledge({ accepted: true }, String(requestId));
  for (const id of ["call-1", "approval/call-1", "perm-call-1"]) {
    expect((await harness.send(connectionId, { messages: [userMessage(id)] })).status).toBe(200);
  }
  expect((await decide(harness, connectionId, [allow])).status).toBe(200);
});

describe("bodies with several frames", () => {
  const second: Decision = { approve: false, tool_call_id: "call-2" };

  test("the frames of a body are delivered in order, each after the previous one was acknowledged", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await connectAsking(harness);
    const messages = [userMessage("m-1"), { type: "approval", approvals: [allow, second] }, userMessage("m-2")];
    const path = `/v1/environments/${connectionId}/messages`;
    const sent = harness.call("POST", path, { principal: withApprove, body: { agentId: "agent-1", messages } });
    for (let frame = 1; frame <= 4; frame++) {
      await harness.settle();
      expect(socket.inputs()).toHaveLength(frame);
      socket.acknowledge({ accepted: true });
    }
    expect((await sent).status).toBe(200);
    expect(payloads(socket)).toMatchObject([
      { messages: [{ client_message_id: "m-1" }] },
      { request_id: "perm-call-1" },
      { request_id: "perm-call-2" },
      { messages: [{ client_message_id: "m-2" }] },
    ]);
  });

  test("a body stops at the first failure and reports what was delivered, and its repeat delivers the rest", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await connectAsking(harness);
    const sent = decide(harness, connectionId, [allow, second]);
    await harness.settle();
    socket.acknowledge({ accepted: true });
    await harness.settle();
    socket.acknowledge(noLongerPending);
    const answer = await sent;
    expect(answer).toMatchObject({
      status: 409,
      headers: { "x-should-retry": "false" },
      body: { errorCode: "input_rejected" },
    });
    expect(answer.body["detail"]).toMatch(/^1 of 2 parts of the body were delivered\. .*no longer pending/);
    socket.ask("call-2");
    const repeat = decide(harness, connectionId, [allow, second]);
    await harness.settle();
    socket.acknowledge({ accepted: true });
    expect((await repeat).status).toBe(200);
    expect(payloads(socket)).toMatchObject([
      { request_id: "perm-call-1" },
      { request_id: "perm-call-2" },
      { request_id: "perm-call-2" },
    ]);
  });

  /** Sends a message and decisions behind it in one body. */
  function sendMixed(harness: Harness, connectionId: string, approvals: readonly Decision[], id = "m-1") {
    const body = { agentId: "agent-1", messages: [userMessage(id), { type: "approval", approvals }] };
    return harness.call("POST", `/v1/environments/${connectionId}/messages`, { principal: withApprove, body });
  }

  test.each([
    [
      "on a request that is not pending is 404",
      { approve: true, tool_call_id: "call-9" },
      404,
      "approval_not_found",
      "tool_call_id",
    ],
    [
      "on a request that was decided otherwise is 409",
      { approve: false, tool_call_id: "call-1" },
      409,
      "approval_decided",
      "tool_call_id",
    ],
    [
      "with a suggestion that its request does not have is 400",
      { approve: true, tool_call_id: "call-2", selected_permission_suggestion_ids: ["other"] },
      ...([400, "invalid_request", "selected_permission_suggestion_ids"] as const),
    ],
  ])(
    "a body with a message before a decision %s, and nothing of it is sent",
    async (_, decision, status, errorCode, member) => {
      const harness = createHarness();
      const { connectionId, socket } = await connectAsking(harness);
      socket.onFrame = ({ request_id: requestId }) => socket.acknowledge({ accepted: true }, String(requestId));
      expect((await decide(harness, connectionId, [allow])).status).toBe(200);
      for (let count = 0; count < 2; count += 1) {
        const answer = await sendMixed(harness, connectionId, [decision]);
        expect(answer).toMatchObject({ status, body: { errorCode } });
        expect(answer.body["errors"]).toMatchObject([{ member: `messages[1].approvals[0].${member}` }]);
        expect(answer).not.toHaveProperty("headers.idempotency-replayed");
      }
      expect(payloads(socket)).toMatchObject([{ request_id: "perm-call-1" }]);
      // The id of the message is free.
      expect((await harness.send(connectionId, { messages: [userMessage("m-1", "another text")] })).status).toBe(200);
    },
  );

  test("a body with a message before a decision is delivered once, even if it is repeated", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await connectAsking(harness);
    socket.onFrame = ({ request_id: requestId }) => socket.acknowledge({ accepted: true }, String(requestId));
    for (let count = 0; count < 2; count += 1)
      expect((await sendMixed(harness, connectionId, [allow])).status).toBe(200);
    // A decision that was made before does not stop a new message.
    expect((await sendMixed(harness, connectionId, [allow], "m-2")).status).toBe(200);
    expect(payloads(socket)).toMatchObject([
      { kind: "create_message" },
      { request_id: "perm-call-1" },
      { kind: "create_message" },
    ]);
  });

  test("a body may contain a decision on a request that the device makes only after the body's previous decision", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await connectAsking(harness);
    socket.onFrame = ({ request_id: requestId, payload }) => {
      socket.acknowledge({ accepted: true }, String(requestId));
      if (JSON.stringify(payload).includes("perm-call-1")) socket.ask("call-3");
    };
    const third = { approve: true, tool_call_id: "call-3" };
    expect((await sendMixed(harness, connectionId, [allow, third])).status).toBe(200);
    expect(socket.inputs()).toHaveLength(3);
  });

  test("a partly delivered body names the failed part, its code and the effect of a repeat", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await connectAsking(harness);
    const sent = sendMixed(harness, connectionId, [allow, { approve: true, tool_call_id: "call-9" }]);
    for (let count = 0; count < 2; count += 1) {
      await harness.settle();
      socket.acknowledge({ accepted: true });
    }
    await harness.clock.advance(10_000);
    const rule = "must be the id of a request that is pending in this conversation";
    const detail =
      `2 of 3 parts of the body were delivered. The next one ended with approval_not_found: messages[1].approvals[1].tool_call_id ${rule}. ` +
      "A repeat of the same body does not deliver these parts again.";
    expect(await sent).toMatchObject({
      status: 409,
      headers: { "x-should-retry": "false" },
      body: {
        ...{ errorCode: "input_rejected", detail, message: detail },
        errors: [{ member: "messages[1].approvals[1].tool_call_id", rule }],
        parts: { count: 3, delivered: 2, errorCode: "approval_not_found" },
      },
    });
  });

  test("a body does not say that nothing was sent when its device is lost after a part was delivered, and its repeat delivers the rest", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await connectAsking(harness);
    const sent = sendMixed(harness, connectionId, [allow]);
    await harness.settle();
    socket.acknowledge({ accepted: true });
    socket.listener.onClose(1006);
    const answer = await sent;
    expect(answer.body).toMatchObject({
      errorCode: "input_rejected",
      errors: [
        { member: "messages[1].approvals[0].tool_call_id", rule: "is in the part that ended with device_offline" },
      ],
      parts: { delivered: 1, errorCode: "device_offline" },
    });
    expect(answer.body["detail"]).toBe(
      "1 of 2 parts of the body were delivered. The next one ended with device_offline: Remote environment is offline. " +
        "A repeat of the same body does not deliver this part again.",
    );
    const again = await harness.open(connectionId);
    again.ask("call-1");
    again.onFrame = ({ request_id: requestId }) => again.acknowledge({ accepted: true }, String(requestId));
    expect((await sendMixed(harness, connectionId, [allow])).status).toBe(200);
    expect(payloads(again)).toMatchObject([{ request_id: "perm-call-1" }]);
  });

  test("a body whose device registers again after a part was delivered ends with connection_replaced", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await connectAsking(harness);
    const sent = sendMixed(harness, connectionId, [allow]);
    await harness.settle();
    await harness.register("device-1");
    socket.acknowledge({ accepted: true });
    socket.listener.onClose(1006);
    expect((await sent).body["parts"]).toMatchObject({ delivered: 1, errorCode: "connection_replaced" });
  });

  test("a body with a part whose acknowledgement is missing is 504, even if an earlier part was delivered", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await connectAsking(harness);
    const sent = decide(harness, connectionId, [allow, second]);
    await harness.settle();
    socket.acknowledge({ accepted: true });
    await harness.clock.advance(10_000);
    const errors = [{ member: "messages[0].approvals[1].tool_call_id" }];
    expect(await sent).toMatchObject({ status: 504, body: { errorCode: "delivery_unknown", errors } });
  });

  test("a partly delivered body names every message of the failed part", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await connectAsking(harness);
    const messages = [{ type: "approval", approvals: [allow] }, ...["m-1", "m-2"].map((id) => userMessage(id))];
    const sent = harness.call("POST", `/v1/environments/${connectionId}/messages`, {
      principal: withApprove,
      body: { agentId: "agent-1", messages },
    });
    await harness.settle();
    socket.acknowledge({ accepted: true });
    await harness.settle();
    socket.acknowledge({ accepted: false, error: "busy" });
    const errors = [1, 2].map((index) => ({ member: `messages[${index}].client_message_id` }));
    expect(await sent).toMatchObject({ status: 409, body: { errors, parts: { errorCode: "input_rejected" } } });
  });

  test("a body with the same tool call twice is 400, and nothing is sent", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await connectAsking(harness);
    expect(await decide(harness, connectionId, [allow, allow])).toMatchObject({
      status: 400,
      body: { errors: [{ member: "messages[0].approvals[1].tool_call_id" }] },
    });
    expect(socket.frames).toEqual([]);
  });
});
