import type { Principal } from "@letta-environments/schema";
import { describe, expect, test } from "vitest";
import { commandTimeoutMs, maxWaitingCommands } from "../src/limits.ts";
import type { FakeSocket } from "./support/fake-socket.ts";
import { type Answer, anyone, createHarness, type Harness } from "./support/harness.ts";

const controller: Principal = { ...anyone, scopes: new Set([...anyone.scopes, "control"] as const) };
const runtime = { agent_id: "agent-1", conversation_id: "default" };
const agent = { agentId: "agent-1" };
const denying = (tool: string) => ({ deniedTools: [tool], deadlineMs: null });

/** Starts a request of a control operation, and returns once its frame is written or it is refused. */
async function begin(
  { call, settle }: Harness,
  connectionId: string,
  path: string,
  body: unknown = agent,
  principal: Principal = controller,
): Promise<{ readonly answer: Promise<Answer> }> {
  const answer = call("POST", `/v1/environments/${connectionId}/${path}`, { body, principal });
  await settle();
  return { answer };
}

async function remove({ call, settle }: Harness, connectionId: string, query = "agentId=agent-1") {
  const path = `/v1/environments/${connectionId}/queue/q-1`;
  const answer = call("DELETE", path, { query, principal: controller });
  await settle();
  return { answer };
}

function reportStatus(socket: FakeSocket, status: object, scope: object = runtime): void {
  socket.say({ type: "update_device_status", runtime: scope, device_status: status });
}

const last = (socket: FakeSocket): Record<string, unknown> => socket.frames.at(-1) ?? {};

describe("commands that the device answers", () => {
  test("a stop returns the device's response, for the run that the request names", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await harness.connect("device-1");
    for (const aborted of [true, false]) {
      const { answer } = await begin(harness, connectionId, "stop", { ...agent, runId: "run-1" });
      expect(last(socket)).toMatchObject({ type: "abort_message", runtime, run_id: "run-1" });
      const { request_id: requestId } = last(socket);
      socket.say({ type: "abort_message_response", request_id: "another", runtime, aborted: !aborted, success: true });
      socket.say({ type: "resume_queue_response", request_id: requestId, runtime, resumed: 1, success: true });
      socket.say({ type: "abort_message_response", request_id: requestId, runtime, aborted, success: true });
      expect(await answer).toMatchObject({ status: 200, body: { stopped: aborted } });
    }
  });

  test("a failure of the device is 409 control_rejected with its text", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await harness.connect("device-1");
    const { answer } = await begin(harness, connectionId, "stop");
    const { request_id } = last(socket);
    const error = "Runtime is no longer active\u0007";
    socket.say({ type: "abort_message_response", request_id, runtime, aborted: false, success: false, error });
    expect(await answer).toMatchObject({
      status: 409,
      body: { errorCode: "control_rejected", detail: "Runtime is no longer active" },
    });
  });

  test("the queue is resumed, and an item is removed or found to be missing", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await harness.connect("device-1");
    const resuming = await begin(harness, connectionId, "queue/resume", { conversationId: "conv-1" });
    expect(last(socket)).toMatchObject({ runtime: { agent_id: null, conversation_id: "conv-1" } });
    socket.say({ ...last(socket), type: "resume_queue_response", resumed: 3, success: true });
    expect(await resuming.answer).toMatchObject({ status: 200, body: { resumed: 3 } });
    for (const success of [true, false]) {
      const removing = await remove(harness, connectionId);
      expect(last(socket)).toMatchObject({ type: "remove_queue_item", runtime, item_id: "q-1" });
      socket.say({ ...last(socket), type: "remove_queue_item_response", success });
      expect(await removing.answer).toMatchObject({ status: 200, body: { removed: success } });
    }
  });

  test("an item is removed from the queue of a conversation that is named without its agent", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await harness.connect("device-1");
    const removing = await remove(harness, connectionId, "conversationId=conv-1");
    expect(last(socket)).toMatchObject({ runtime: { agent_id: null, conversation_id: "conv-1" }, item_id: "q-1" });
    socket.say({ ...last(socket), type: "remove_queue_item_response", success: true });
    expect(await removing.answer).toMatchObject({ status: 200, body: { removed: true } });
    for (const query of ["", "conversationId=default", "conversationId="]) {
      const { answer } = await remove(harness, connectionId, query);
      expect(await answer).toMatchObject({ status: 422, body: { errorCode: "agent_required" } });
    }
  });
});

describe("changes of the mode", () => {
  test("a change of the mode succeeds when the device reports that mode for that conversation, and after no other report", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await harness.connect("device-1");
    const { answer } = await begin(harness, connectionId, "mode", { ...agent, mode: "bypassPermissions" });
    expect(last(socket)).toEqual({ type: "change_device_state", runtime, payload: { mode: "unrestricted" } });
    let isAnswered = false;
    void answer.then(() => (isAnswered = true));
    reportStatus(socket, { current_permission_mode: "standard" });
    reportStatus(socket, { current_permission_mode: "unrestricted" }, { ...runtime, conversation_id: "conv-2" });
    reportStatus(socket, { current_working_directory: "/code" });
    await harness.settle();
    expect(isAnswered).toBe(false);
    reportStatus(socket, { current_permission_mode: "unrestricted" });
    expect(await answer).toMatchObject({ status: 200, body: { mode: "unrestricted" } });
  });

  test("a change of the mode that the device refuses is 409 with its reason", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await harness.connect("device-1");
    const { answer } = await begin(harness, connectionId, "mode", { ...agent, mode: "acceptEdits" });
    const delta = { message_type: "loop_error", message: "Unsupported permission mode", is_terminal: false };
    socket.say({ type: "stream_delta", runtime: { ...runtime, agent_id: "agent-2" }, delta });
    // Errors of the turn that runs, which ends by the first one.
    for (const members of [{ is_terminal: true }, { run_id: "run-1" }, { stop_reason: "llm_api_error" }])
      socket.say({ type: "stream_delta", runtime, delta: { ...delta, message: "secret", ...members } });
    socket.say({ type: "stream_delta", runtime, delta: { ...delta, stop_reason: "error" } });
    expect(await answer).toMatchObject({ status: 409, body: { detail: "Unsupported permission mode" } });
  });

  test("a change of the mode uses the older names for a device that reports them", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await harness.connect("device-1");
    reportStatus(socket, { current_permission_mode: "bypassPermissions" });
    const { answer } = await begin(harness, connectionId, "mode", { ...agent, mode: "standard" });
    expect(last(socket)).toMatchObject({ payload: { mode: "default" } });
    reportStatus(socket, { current_permission_mode: "default" });
    expect(await answer).toMatchObject({ status: 200, body: { mode: "default" } });
  });

  test("a change to a mode beyond the key's maximum is 403 and reaches no device, and one up to the maximum is made", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await harness.connect("device-1");
    const limited: Principal = { ...controller, maxMode: "acceptEdits" };
    reportStatus(socket, { current_permission_mode: "unrestricted" });
    for (const mode of ["unrestricted", "bypassPermissions"]) {
      const { answer } = await begin(harness, connectionId, "mode", { ...agent, mode }, limited);
      expect(await answer).toMatchObject({ status: 403, body: { errorCode: "mode_not_allowed" } });
    }
    expect(socket.frames).toEqual([]);
    const { answer } = await begin(harness, connectionId, "mode", { ...agent, mode: "standard" }, limited);
    reportStatus(socket, { current_permission_mode: "standard" });
    expect(await answer).toMatchObject({ status: 200 });
    const sent = harness.send(connectionId, {}, { principal: limited });
    await harness.settle();
    socket.acknowledge();
    expect(await sent).toMatchObject({ status: 200 });
  });
});

describe("changes of the mode by a key that sets one, or denies tools", () => {
  test.each([
    [{ maxMode: null, setMode: "standard" }, ["default", "standard"]],
    [{ maxMode: null, setMode: "acceptEdits" }, ["default", "standard", "acceptEdits"]],
    [{ maxMode: "acceptEdits", setMode: "standard" }, ["default", "standard", "acceptEdits"]],
    [{ maxMode: null, approvalPolicy: denying("Bash") }, ["default", "standard", "acceptEdits"]],
    [{ maxMode: "unrestricted", approvalPolicy: denying("Write") }, ["default", "standard"]],
  ] as const)(
    "a key with the limits %j can change the mode only to %j, so that it cannot undo its own mode or denials",
    async (own, allowed) => {
      const harness = createHarness();
      const { connectionId, socket } = await harness.connect("device-1");
      for (const mode of ["default", "standard", "acceptEdits", "bypassPermissions", "unrestricted"] as const) {
        const sent = socket.frames.length;
        const { answer } = await begin(harness, connectionId, "mode", { ...agent, mode }, { ...controller, ...own });
        const isAllowed = (allowed as readonly string[]).includes(mode);
        expect([mode, socket.frames.length > sent]).toEqual([mode, isAllowed]);
        if (isAllowed) reportStatus(socket, { current_permission_mode: mode });
        expect(await answer).toMatchObject(
          isAllowed ? { status: 200 } : { status: 403, body: { errorCode: "mode_not_allowed" } },
        );
      }
    },
  );
});

describe("changes of the directory", () => {
  const status = (directory: string, revision: number) => ({
    current_working_directory: directory,
    cwd_revision: revision,
  });

  test("a change of the directory responds with the directory that the device reports, even through a symbolic link", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await harness.connect("device-1");
    const { answer } = await begin(harness, connectionId, "directory", { ...agent, directory: "/link" });
    expect(socket.frames).toEqual([
      { type: "change_device_state", runtime, payload: {} },
      { type: "change_device_state", runtime, payload: { cwd: "/link" } },
    ]);
    reportStatus(socket, status("/home", 1));
    reportStatus(socket, status("/real", 2));
    expect(await answer).toMatchObject({ status: 200, body: { directory: "/real" } });
  });

  test("a change to a directory that the device does not have is 409", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await harness.connect("device-1");
    const { answer } = await begin(harness, connectionId, "directory", { ...agent, directory: "/missing" });
    reportStatus(socket, status("/home", 1));
    reportStatus(socket, status("/home", 1));
    reportStatus(socket, status("/home", 2));
    expect(await answer).toMatchObject({ status: 409, body: { errorCode: "control_rejected" } });
  });

  test("a change to a directory whose path is relative, has control characters or is too long is 400", async () => {
    const harness = createHarness();
    const { connectionId } = await harness.connect("device-1");
    for (const directory of ["", "code", "../x", "/a\u0000b", "/a\nb", `/${"x".repeat(4_096)}`, 1]) {
      const { answer } = await begin(harness, connectionId, "directory", { ...agent, directory });
      expect(await answer).toMatchObject({ status: 400, body: { errors: [{ member: "directory" }] } });
    }
  });
});

describe("commands without an answer", () => {
  test("a command without an answer is 504 control_unknown after 10 seconds; a repeat of a resume, a mode or a stop of any run is not safe", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await harness.connect("device-1");
    for (const [path, body, shouldRetry] of [
      ["stop", { ...agent, runId: "run-1" }, "true"],
      ["stop", agent, "false"],
      ["mode", { ...agent, mode: "standard" }, "false"],
      ["directory", { ...agent, directory: "/code" }, "true"],
      ["queue/resume", agent, "false"],
    ] as const) {
      const { answer } = await begin(harness, connectionId, path, body);
      await harness.clock.advance(commandTimeoutMs);
      expect(await answer).toMatchObject({
        status: 504,
        headers: { "x-should-retry": shouldRetry },
        body: { errorCode: "control_unknown" },
      });
      // A late answer ends nothing.
      socket.say({
        type: "abort_message_response",
        request_id: last(socket)["request_id"],
        aborted: true,
        success: true,
      });
    }
  });

  test("a device that disconnects leaves its commands unknown, and its modes are forgotten", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await harness.connect("device-1");
    reportStatus(socket, { current_permission_mode: "standard" });
    const { answer } = await begin(harness, connectionId, "stop");
    socket.listener.onClose(1006);
    expect(await answer).toMatchObject({ status: 504, body: { detail: expect.stringContaining("disconnected") } });
    await harness.open(connectionId);
    const sent = harness.send(connectionId, {}, { principal: { ...anyone, maxMode: "standard" } });
    await harness.clock.advance(commandTimeoutMs);
    expect(await sent).toMatchObject({ status: 403 });
  });

  test("a device that never answers receives a bounded number of commands", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await harness.connect("device-1");
    const waiting: Promise<Answer>[] = [];
    for (let count = 0; count < maxWaitingCommands; count++) {
      waiting.push((await begin(harness, connectionId, "stop")).answer);
    }
    const { answer } = await begin(harness, connectionId, "stop");
    expect(await answer).toMatchObject({ status: 429, body: { errorCode: "queue_full" } });
    expect(socket.frames).toHaveLength(maxWaitingCommands);
    await harness.clock.advance(commandTimeoutMs);
    expect((await Promise.all(waiting)).every(({ status }) => status === 504)).toBe(true);
  });
});

describe("access to control", () => {
  test("control needs the scope and access to the device and agent; anything else looks as if it did not exist", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await harness.connect("device-1");
    const code = async (principal: Principal, body: unknown = agent): Promise<unknown> =>
      (await (await begin(harness, connectionId, "stop", body, principal)).answer).body["errorCode"];
    expect(await code(anyone)).toBe("insufficient_scope");
    expect(await code({ ...controller, deviceIds: ["device-2"] })).toBe("connection_not_found");
    expect(await code({ ...controller, tenant: "other" })).toBe("connection_not_found");
    expect(await code({ ...controller, agentIds: ["agent-2"] })).toBe("agent_not_allowed");
    expect(await code({ ...controller, agentIds: ["agent-2"] }, { conversationId: "conv-1" })).toBe(
      "agent_not_allowed",
    );
    expect(await code(controller, {})).toBe("agent_required");
    expect(socket.frames).toEqual([]);
  });

  test("a command to a device that is offline or has registered again is 409 at once", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await harness.connect("device-1");
    socket.listener.onClose(1005);
    const offline = await begin(harness, connectionId, "stop");
    expect(await offline.answer).toMatchObject({ status: 409, body: { errorCode: "device_offline" } });
    await harness.connect("device-1");
    const replaced = await begin(harness, connectionId, "stop");
    expect(await replaced.answer).toMatchObject({ status: 409, body: { errorCode: "connection_replaced" } });
  });
});

describe("keys that set a mode", () => {
  const setting: Principal = { ...anyone, setMode: "standard", maxMode: "standard" };

  test("a key that sets a mode has the conversation switched before its message is sent, and sends immediately if it is already in that mode", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await harness.connect("device-1");
    reportStatus(socket, { current_permission_mode: "unrestricted" }, { ...runtime, conversation_id: "conv-2" });
    const sent = harness.send(connectionId, {}, { principal: setting });
    await harness.settle();
    expect(socket.frames).toEqual([{ type: "change_device_state", runtime, payload: { mode: "standard" } }]);
    reportStatus(socket, { current_permission_mode: "standard" });
    await harness.settle();
    expect(last(socket)).toMatchObject({ type: "input" });
    socket.acknowledge();
    expect(await sent).toMatchObject({ status: 200 });
    expect(harness.events.filter(({ type }) => type === "mode_switched")).toMatchObject([
      { deviceId: "device-1", agentId: "agent-1", mode: "standard", keyId: setting.keyId, outcome: "done" },
    ]);
    const messages = [{ client_message_id: "m-2", role: "user" as const, content: "again" }];
    const again = harness.send(connectionId, { messages }, { principal: setting });
    await harness.settle();
    expect(socket.frames).toHaveLength(3);
    socket.acknowledge();
    expect(await again).toMatchObject({ status: 200 });
  });

  test.each([
    ["its own maximum mode", { setMode: "unrestricted" }],
    [
      "a mode in which it asks about fewer denied tools",
      { maxMode: null, setMode: "unrestricted", approvalPolicy: denying("Bash") },
    ],
  ])("a key that sets a mode never causes a switch beyond %s", async (_what, own) => {
    const harness = createHarness();
    const { connectionId, socket } = await harness.connect("device-1");
    const refused = await harness.send(connectionId, {}, { principal: { ...setting, ...own } });
    const detail = expect.stringMatching(
      /^The gateway key may not set a mode beyond '\w+', and sets 'unrestricted'\. /,
    );
    expect(refused).toMatchObject({ status: 403, body: { errorCode: "mode_not_allowed", detail } });
    expect(socket.frames).toEqual([]);
  });

  test("a key that sets a mode sends nothing when the device does not report the mode, and the id stays free", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await harness.connect("device-1");
    const sent = harness.send(connectionId, {}, { principal: setting });
    await harness.settle();
    reportStatus(socket, { current_permission_mode: "unrestricted" });
    await harness.clock.advance(commandTimeoutMs);
    expect(await sent).toMatchObject({
      status: 409,
      headers: { "x-should-retry": "true" },
      body: { errorCode: "mode_not_set" },
    });
    expect(socket.inputs()).toEqual([]);
    const again = harness.send(connectionId, {});
    await harness.settle();
    socket.acknowledge();
    expect(await again).toMatchObject({ status: 200 });
  });

  test("a key that sets a mode sends nothing when the conversation leaves the mode while the message is stored", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await harness.connect("device-1");
    reportStatus(socket, { current_permission_mode: "standard" });
    const { reserve } = harness.store;
    Object.assign(harness.store, {
      reserve: async (...given: Parameters<typeof reserve>) => {
        reportStatus(socket, { current_permission_mode: "unrestricted" });
        return reserve(...given);
      },
    });
    const sent = harness.send(connectionId, {}, { principal: { ...setting, maxMode: null } });
    await harness.settle();
    expect(await sent).toMatchObject({ status: 409, body: { errorCode: "mode_not_set" } });
    expect(socket.inputs()).toEqual([]);
  });
});

test("the mode of another conversation does not let a key with a maximum mode through", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  const limited: Principal = { ...anyone, maxMode: "standard" };
  reportStatus(socket, { current_permission_mode: "unrestricted" });
  reportStatus(socket, { current_permission_mode: "standard" }, { ...runtime, conversation_id: "conv-2" });
  const refused = await harness.send(connectionId, {}, { principal: limited });
  expect(refused).toMatchObject({ status: 403, body: { errorCode: "mode_not_allowed" } });
  const unreported = harness.send(connectionId, { conversationId: "conv-3" }, { principal: limited });
  await harness.clock.advance(commandTimeoutMs);
  expect(await unreported).toMatchObject({ status: 403 });
  const sent = harness.send(connectionId, { conversationId: "conv-2" }, { principal: limited });
  await harness.settle();
  socket.acknowledge();
  expect(await sent).toMatchObject({ status: 200 });
});
