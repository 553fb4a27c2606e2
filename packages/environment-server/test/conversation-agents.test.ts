/** A key that is limited to agents, and the named conversations of a device: the agent that a request names proves nothing. */
import type { Principal } from "@letta-environments/schema";
import { describe, expect, test } from "vitest";
import { commandTimeoutMs, maxKnownAgents, silencePauseMs } from "../src/limits.ts";
import type { FakeSocket } from "./support/fake-socket.ts";
import { type Answer, anyone, createHarness, type Harness, userMessage } from "./support/harness.ts";
import { watchDevice } from "./support/viewer.ts";

const scopes = new Set([...anyone.scopes, "view", "approve", "control"] as const);
const limited: Principal = { ...anyone, scopes, agentIds: ["agent-1", "agent-2"] };
const refused = { status: 403, body: { errorCode: "agent_not_allowed" } };

const questions = ({ frames }: FakeSocket) => frames.filter(({ type }) => type === "conversation_retrieve");
const others = ({ frames }: FakeSocket) => frames.filter(({ type }) => type !== "conversation_retrieve");

/** Lets a device answer like a real one, which knows the agent of each conversation and acknowledges every input. */
function answer(socket: FakeSocket, agents: Readonly<Record<string, string | null>>): void {
  socket.onFrame = ({ type, request_id, conversation_id: id }) => {
    if (type === "input") return queueMicrotask(() => socket.acknowledge());
    if (type !== "conversation_retrieve") return;
    const agent = agents[String(id)];
    const found =
      agent === undefined
        ? { success: false, conversation: null, error: "Conversation not found" }
        : { success: true, conversation: { id, agent_id: agent, summary: null } };
    queueMicrotask(() => socket.say({ type: "conversation_retrieve_response", request_id, ...found }));
  };
}

async function connected(agents: Readonly<Record<string, string | null>> | null) {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  if (agents !== null) answer(socket, agents);
  let count = 0;
  const send = async (conversationId: string, body: object = {}, principal = limited): Promise<Answer> => {
    const messages = [userMessage(`m-${(count += 1)}`)];
    return harness.send(connectionId, { conversationId, messages, ...body }, { principal });
  };
  return { ...harness, connectionId, socket, send };
}

describe("messages to a named conversation from a key that is limited to agents", () => {
  const agents = { own: "agent-1", other: "agent-2", secret: "agent-9", free: null };

  test("a message of a key that is limited to agents reaches the device only when the device confirms the agent that the message names, and the device is asked once", async () => {
    const { socket, send } = await connected(agents);
    // Also one of an agent that the key allows, under the name of another: the records would name the wrong one.
    for (const conversationId of ["secret", "missing", "other", "free"]) {
      expect(await send(conversationId)).toMatchObject(refused);
    }
    expect(others(socket)).toEqual([]);
    expect(await send("own")).toMatchObject({ status: 200 });
    expect(await send("own")).toMatchObject({ status: 200 });
    expect(await send("other", { agentId: "agent-2" })).toMatchObject({ status: 200 });
    expect(socket.inputs().map(({ runtime }) => runtime)).toEqual([
      { agent_id: "agent-1", conversation_id: "own" },
      { agent_id: "agent-1", conversation_id: "own" },
      { agent_id: "agent-2", conversation_id: "other" },
    ]);
    expect(questions(socket).map(({ conversation_id: id }) => id)).toEqual([
      ...["secret", "missing", "other", "free", "own"],
    ]);
  });

  test("a message of a key that is limited to agents is refused with the same words for another agent's conversation and for one that does not exist", async () => {
    const { send } = await connected(agents);
    expect((await send("secret")).body["detail"]).toBe((await send("missing")).body["detail"]);
  });

  test("a message is refused if the device cannot report the conversation's agent, and the device is not asked again for a while; the default conversation needs no answer", async () => {
    const { socket, send, settle, clock } = await connected(null);
    const sent = send("own");
    await clock.advance(commandTimeoutMs);
    const detail = expect.stringContaining("only conversations whose agent the device confirms");
    const again = (seconds: string) => ({ "x-should-retry": "true", "retry-after": seconds });
    expect(await sent).toMatchObject({ ...refused, body: { detail }, headers: again(String(silencePauseMs / 1_000)) });
    await clock.advance(4_500);
    expect(await send("own-too")).toMatchObject({ ...refused, headers: again("26") });
    expect(questions(socket)).toHaveLength(1);
    const unasked = send("default");
    await settle();
    socket.acknowledge();
    expect(await unasked).toMatchObject({ status: 200 });
    await clock.advance(silencePauseMs);
    answer(socket, agents);
    expect(await send("own")).toMatchObject({ status: 200 });
  });

  test("a message that waits for the agent of its conversation does not delay other keys, and stays ahead of later messages of its own key", async () => {
    const { socket, send, settle, connectionId, call } = await connected(null);
    const body = (id: string) => ({ messages: [userMessage(id)], agentId: "agent-1", conversationId: "own" });
    const path = `/v1/environments/${connectionId}/messages`;
    const own = ["first", "second"].map((id) => call("POST", path, { body: body(id), principal: limited }));
    await settle();
    const third = { ...limited, keyId: "key-3" };
    own.push(call("POST", path, { body: body("third"), principal: third }));
    await settle();
    // However many keys send, one question at a time waits, so that they leave room for commands.
    expect(questions(socket)).toHaveLength(1);
    const other = send("own", {}, { ...limited, keyId: "key-2", agentIds: null });
    await settle();
    expect(socket.inputs()).toHaveLength(1);
    socket.acknowledge();
    expect(await other).toMatchObject({ status: 200 });
    const [question] = questions(socket);
    answer(socket, agents);
    const conversation = { id: "own", agent_id: "agent-1", summary: null };
    const { request_id } = question ?? {};
    socket.say({ type: "conversation_retrieve_response", request_id, success: true, conversation });
    for (const sent of own) expect(await sent).toMatchObject({ status: 200 });
    const texts = socket.inputs().map(({ payload }) => JSON.stringify(payload));
    const order = ["first", "second", "third"].map((id) => texts.findIndex((text) => text.includes(id)));
    expect(order.filter((place) => place > 0)).toHaveLength(3);
    expect(order[0]).toBeLessThan(order[1] ?? 0);
  });

  test("after a reconnect the device is asked again for the agent of a conversation, before the message is sent", async () => {
    const { socket, send, settle, open, connectionId } = await connected(null);
    const sent = send("own");
    await settle();
    expect(questions(socket)).toHaveLength(1);
    const next = await open(connectionId);
    answer(next, agents);
    expect(await sent).toMatchObject({ status: 200 });
    expect(questions(next)).toHaveLength(1);
  });

  test("a message may be repeated when the device failed to find out the agent, which says nothing about the conversation", async () => {
    const { socket, send } = await connected(agents);
    for (const error of ["The request to the backend timed out", null]) {
      socket.onFrame = ({ request_id }) =>
        queueMicrotask(() =>
          socket.say({ type: "conversation_retrieve_response", request_id, success: false, conversation: null, error }),
        );
      const failed = await send("own");
      expect(failed).toMatchObject({ ...refused, headers: { "x-should-retry": "true" } });
      expect(failed.body["detail"]).toContain("could not report");
    }
    answer(socket, agents);
    expect(await send("missing")).toMatchObject({ ...refused, headers: { "x-should-retry": "false" } });
    expect(await send("secret")).toMatchObject({ ...refused, headers: { "x-should-retry": "false" } });
    expect(await send("own")).toMatchObject({ status: 200 });
  });

  test.each(["Conversation local-conv-9 not found", "404 status code (no body)", "This conversation does not exist."])(
    "a message is refused for good when the device says about its conversation: %s",
    async (error) => {
      const { socket, send } = await connected(agents);
      socket.onFrame = ({ request_id }) =>
        queueMicrotask(() =>
          socket.say({ type: "conversation_retrieve_response", request_id, success: false, conversation: null, error }),
        );
      expect(await send("own")).toMatchObject({ ...refused, headers: { "x-should-retry": "false" } });
    },
  );

  test("a body with only a decision is refused like a message, whatever the device requests", async () => {
    const { socket, send } = await connected(agents);
    socket.say({
      type: "control_request",
      request_id: "perm-call-1",
      request: { subtype: "can_use_tool", tool_name: "Bash", input: {}, tool_call_id: "call-1" },
      runtime: { agent_id: "agent-1", conversation_id: "secret" },
    });
    const messages = [{ type: "approval" as const, approvals: [{ tool_call_id: "call-1", approve: true }] }];
    expect(await send("secret", { messages })).toMatchObject(refused);
    expect(others(socket)).toEqual([]);
  });

  test("a repeated message receives its first result without asking the device, even if the device is offline", async () => {
    const { socket, send } = await connected(agents);
    const messages = [userMessage("m-first")];
    expect(await send("own", { messages })).toMatchObject({ status: 200 });
    socket.listener.onClose(1006);
    expect(await send("own", { messages })).toMatchObject({ status: 200, headers: { "idempotency-replayed": "true" } });
    expect(await send("own")).toMatchObject({ status: 409, body: { errorCode: "device_offline" } });
  });

  test("a message is connection_replaced when its device registers again while it is asked for the agent", async () => {
    const { socket, send, settle, register } = await connected(null);
    const sent = send("own");
    await settle();
    await register("device-1");
    socket.listener.onClose(1006);
    expect(await sent).toMatchObject({ status: 409, body: { errorCode: "connection_replaced" } });
  });

  test("a message says that the device is offline when it disconnects while it is asked for the agent, and it is asked again on its next socket", async () => {
    const { socket, send, settle, open, connectionId } = await connected(null);
    const sent = send("own");
    await settle();
    socket.listener.onClose(1006);
    expect(await sent).toMatchObject({ status: 409, body: { errorCode: "device_offline" } });
    for (let count = 0; count < 2; count++) {
      const again = await open(connectionId);
      answer(again, agents);
      expect(await send("own")).toMatchObject({ status: 200 });
      expect(questions(again)).toHaveLength(1);
    }
  });

  test("a device is not asked for the agent of a message of a key without a limit, or of the default conversation", async () => {
    const { socket, send } = await connected(agents);
    expect(await send("secret", {}, { ...limited, agentIds: null })).toMatchObject({ status: 200 });
    expect(await send("default")).toMatchObject({ status: 200 });
    expect(questions(socket)).toEqual([]);
  });

  test("the agents of a bounded number of conversations are remembered", async () => {
    const many = Array.from({ length: maxKnownAgents + 1 }, (_, number) => `c-${number}`);
    const { socket, send } = await connected(Object.fromEntries(many.map((id) => [id, "agent-1"])));
    for (const id of many) expect(await send(id)).toMatchObject({ status: 200 });
    await send("c-1");
    expect(questions(socket)).toHaveLength(many.length);
    await send("c-0");
    expect(questions(socket)).toHaveLength(many.length + 1);
  });
});

test("a command for another agent's conversation is refused, whichever agent it names, and reaches no device", async () => {
  const { call, connectionId, socket, settle } = await connected({ secret: "agent-9", own: "agent-1" });
  const path = `/v1/environments/${connectionId}`;
  const target = { agentId: "agent-1", conversationId: "secret" };
  for (const [operation, more] of [
    ["stop", {}],
    ["mode", { mode: "standard" }],
    ["directory", { directory: "/" }],
    ["queue/resume", {}],
  ] as const) {
    const body = { ...target, ...more };
    expect(await call("POST", `${path}/${operation}`, { body, principal: limited })).toMatchObject(refused);
  }
  const query = "agentId=agent-1&conversationId=secret";
  expect(await call("DELETE", `${path}/queue/q-1`, { query, principal: limited })).toMatchObject(refused);
  expect(others(socket)).toEqual([]);
  const body = { ...target, conversationId: "own" };
  const stopped = call("POST", `${path}/stop`, { body, principal: limited });
  await settle();
  expect(others(socket)).toMatchObject([{ type: "abort_message" }]);
  socket.say({
    type: "abort_message_response",
    request_id: others(socket)[0]?.["request_id"],
    aborted: true,
    success: true,
  });
  expect(await stopped).toMatchObject({ status: 200 });
});

describe("viewers whose key is limited to agents", () => {
  const watch = (harness: Pick<Harness, "server">, connectionId: string) => watchDevice(harness, connectionId, limited);

  test.each<[string, (conversationId: string) => object]>([
    ["sync", (conversation_id) => ({ runtime: { agent_id: "agent-1", conversation_id } })],
    ["runtime_start", (conversation_id) => ({ agent_id: "agent-1", conversation_id })],
    [
      "input",
      (conversation_id) => ({
        runtime: { agent_id: "agent-1", conversation_id },
        payload: { kind: "create_message", messages: [{ role: "user", content: "x" }] },
      }),
    ],
    [
      "change_device_state",
      (conversation_id) => ({ runtime: { agent_id: "agent-1", conversation_id }, payload: { mode: "unrestricted" } }),
    ],
  ])(
    "a viewer whose key is limited to agents sends %s only for conversations whose agent the device confirms",
    async (type, members) => {
      const harness = await connected({ secret: "agent-9", own: "agent-1" });
      const { socket, connectionId, settle } = harness;
      const viewer = await watch(harness, connectionId);
      for (const id of ["secret", "missing"]) viewer.say({ type, request_id: `r-${id}`, ...members(id) });
      await settle();
      expect(others(socket)).toEqual([]);
      expect(viewer.frames.filter((frame) => frame["type"] === "error")).toMatchObject([
        { request_id: "r-secret", frame_type: type, code: "agent_not_allowed" },
        { request_id: "r-missing", frame_type: type, code: "agent_not_allowed" },
      ]);
      viewer.say({ type, request_id: "r", ...members("own") });
      await settle();
      expect(others(socket)).toMatchObject([{ type }]);
    },
  );

  test("a viewer keeps its socket if its device does not answer about a conversation, and loses it for other agents' conversations", async () => {
    const harness = await connected(null);
    const viewer = await watch(harness, harness.connectionId);
    const sync = (count: number, conversation_id: string) => {
      for (let number = 0; number < count; number++) {
        viewer.say({ type: "sync", request_id: `r-${number}`, runtime: { agent_id: "agent-1", conversation_id } });
      }
    };
    sync(20, "own");
    await harness.clock.advance(commandTimeoutMs);
    expect(viewer.frames.filter(({ code }) => code === "agent_not_allowed")).toHaveLength(20);
    expect(viewer.closes).toEqual([]);
    await harness.clock.advance(silencePauseMs);
    answer(harness.socket, { own: "agent-1", secret: "agent-9" });
    sync(20, "secret");
    await harness.settle();
    expect(viewer.closes).toMatchObject([{ code: 1008 }]);
  });

  test("a viewer can start a new conversation of its agent without asking the device", async () => {
    const harness = await connected({});
    const viewer = await watch(harness, harness.connectionId);
    viewer.say({ type: "runtime_start", request_id: "r", agent_id: "agent-1", create_conversation: {} });
    await harness.settle();
    expect(harness.socket.frames).toMatchObject([{ type: "runtime_start", agent_id: "agent-1" }]);
  });
});
