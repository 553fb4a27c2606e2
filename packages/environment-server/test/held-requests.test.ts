/** Requests that wait before they are written to their device. Meanwhile their key can end, and the device can leave the reach of the key. */
import { type PlainResponse, type Principal, problemResponse } from "@letta-environments/schema";
import { describe, expect, test } from "vitest";
import type { RequestContext } from "../src/index.ts";
import { maxDecisionMs, maxMessageWaitMs } from "../src/limits.ts";
import { allow } from "./support/decisions.ts";
import { anyone, createHarness, type Harness, toAnswer, userMessage, withApprove } from "./support/harness.ts";
import { runtime } from "./support/message-status.ts";

const limited: Principal = { ...withApprove, agentIds: ["agent-1"], deviceTags: ["ci"] };
const admin: Principal = { ...anyone, scopes: new Set(["admin"]) };
const ended = problemResponse("invalid_key");
const named = "conv-1";

type DecideAgain = NonNullable<RequestContext["decideAgain"]>;

/** A device with a tag that answers no question of its own accord. */
async function setUp() {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  const label = (tags: readonly string[]) =>
    harness.call("PATCH", "/v1/environments/device-1", { body: { tags }, principal: admin });
  await label(["ci"]);
  const params = { connectionId };
  const questions = () => socket.frames.filter(({ type }) => type === "conversation_retrieve");
  return {
    ...harness,
    socket,
    label,
    questions,
    send(body: object, decideAgain?: DecideAgain, principal = limited, signal?: AbortSignal) {
      const input = { params, query: null, body: { agentId: "agent-1", messages: [userMessage()], ...body } };
      return operate(harness, "sendMessage", input, principal, decideAgain, signal);
    },
    stop: (decideAgain?: DecideAgain, principal = limited) =>
      operate(
        harness,
        "stopTurn",
        { params, query: null, body: { agentId: "agent-1", conversationId: named } },
        { ...principal, scopes: new Set(["control"]) },
        decideAgain,
      ),
    /** The device confirms the agent that its last question is about. */
    confirm() {
      const { request_id, conversation_id: id } = questions().at(-1) ?? {};
      const conversation = { id, agent_id: "agent-1", summary: null };
      socket.say({ type: "conversation_retrieve_response", request_id, success: true, conversation });
    },
  };
}

async function operate(
  { server }: Harness,
  operation: "sendMessage" | "stopTurn",
  input: object,
  principal: Principal,
  decideAgain: DecideAgain | undefined,
  signal?: AbortSignal,
) {
  const context = { authority: null, ...(decideAgain && { decideAgain }), ...(signal && { signal }) };
  return toAnswer(await server.operate(operation, input as never, principal, context));
}

const end = (): Promise<{ kind: "refused"; response: PlainResponse }> =>
  Promise.resolve({ kind: "refused", response: ended });
const change = (members: Partial<Principal>): DecideAgain => {
  return () => Promise.resolve({ kind: "changed", principal: { ...limited, ...members } });
};
/** Changes the permissions at the first call, and leaves them as they are from then on. */
const changeOnce = (members: Partial<Principal>): DecideAgain => {
  const principal = { ...limited, ...members };
  let kind: "changed" | "same" = "changed";
  return () => {
    const present = { kind, principal };
    kind = "same";
    return Promise.resolve(present);
  };
};

describe("requests that wait for an answer of their device", () => {
  test("a send whose key ends while the device is asked is refused, nothing is written, and its ids are free", async () => {
    const { socket, send, confirm, clock, settle } = await setUp();
    const sent = send({ conversationId: named }, end);
    await clock.advance(4_000);
    confirm();
    expect(await sent).toMatchObject({ status: 401, body: { errorCode: "invalid_key" } });
    expect(socket.inputs()).toEqual([]);
    const repeat = send({ conversationId: named });
    await settle();
    socket.acknowledge();
    expect((await repeat).headers).not.toHaveProperty("idempotency-replayed");
  });

  test("a send whose device loses the tag of its key while the device is asked is 404, and nothing is written", async () => {
    const { socket, send, confirm, label, clock } = await setUp();
    const sent = send({ conversationId: named });
    await clock.advance(4_000);
    await label([]);
    confirm();
    expect(await sent).toMatchObject({ status: 404, body: { errorCode: "connection_not_found" } });
    expect(socket.inputs()).toEqual([]);
  });

  test("the device is not asked for sends whose key has ended while they waited for their question", async () => {
    const { send, confirm, questions, clock } = await setUp();
    const sends = ["m-1", "m-2", "m-3"].map((id) =>
      send({ conversationId: `conversation of ${id}`, messages: [userMessage(id)] }, end),
    );
    await clock.advance(4_000);
    confirm();
    expect((await Promise.all(sends)).map(({ status }) => status)).toEqual([401, 401, 401]);
    expect(questions()).toHaveLength(1);
  });

  test("a send is limited to the permissions that its key has when it is written", async () => {
    for (const [members, status, code] of [
      [{ agentIds: ["agent-2"] }, 403, "agent_not_allowed"],
      [{ deviceIds: ["device-2"] }, 404, "connection_not_found"],
      [{ maxMode: "standard" }, 403, "mode_not_allowed"],
    ] as const) {
      const { socket, send, confirm, clock, settle } = await setUp();
      const sent = send({ conversationId: named }, change(members));
      await clock.advance(4_000);
      confirm();
      await settle();
      // Only a key with a maximum mode asks for the mode.
      const device_status = { current_permission_mode: "unrestricted" };
      socket.say({ type: "update_device_status", runtime: { ...runtime, conversation_id: named }, device_status });
      expect(await sent).toMatchObject({ status, body: { errorCode: code } });
      expect(socket.inputs()).toEqual([]);
    }
  });

  test("a send whose key may no longer use its agent is refused, even after it was decided on twice", async () => {
    const { socket, send, confirm, questions, clock } = await setUp();
    const first = send({ conversationId: named });
    // It is decided on before its question, which has waited for that of another key, and before it is written.
    const members = { keyId: "other", agentIds: [] };
    const body = { conversationId: "conv-2", messages: [userMessage("m-2")] };
    const second = send(body, changeOnce(members), { ...limited, keyId: "other" });
    await clock.advance(4_000);
    confirm();
    expect(await second).toMatchObject({ status: 403, body: { errorCode: "agent_not_allowed" } });
    expect(questions()).toHaveLength(1);
    socket.acknowledge();
    await first;
  });

  test.each([
    ["once", { scopes: new Set(["send", "read"] as const) }, 1],
    ["twice if the agents of its key have changed", { agentIds: ["agent-1", "agent-2"] }, 2],
  ])("a device that refuses slowly is asked about a send %s", async (_often, members, count) => {
    const { socket, send, questions, clock } = await setUp();
    const sent = send({ conversationId: named }, change(members));
    const error = "Conversation not found";
    for (let asked = 1; asked <= count; asked += 1) {
      await clock.advance(1_500);
      expect(questions()).toHaveLength(asked);
      const { request_id } = questions().at(-1) ?? {};
      socket.say({ type: "conversation_retrieve_response", request_id, success: false, error });
    }
    expect(await sent).toMatchObject({ status: 403, body: { errorCode: "agent_not_allowed" } });
  });

  test("a send is written, however often its principal changes before its question is asked", async () => {
    const { socket, send, confirm, questions, clock, settle } = await setUp();
    const keyIds = Array.from({ length: 7 }, (_, index) => `key-${index}`);
    // The device is asked one question at a time, so the others wait.
    const sends = keyIds.map((keyId) => {
      const body = { conversationId: `of ${keyId}`, messages: [userMessage(keyId)] };
      return send(body, change({ keyId }), { ...limited, keyId });
    });
    for (const [index] of keyIds.entries()) {
      await clock.advance(1_500);
      expect(questions()).toHaveLength(index + 1);
      confirm();
      await settle();
      socket.acknowledge();
    }
    expect((await Promise.all(sends)).map(({ status }) => status)).toEqual(keyIds.map(() => 200));
  });

  test("a send that is written within a second is not decided again", async () => {
    const { socket, send, confirm, clock, settle } = await setUp();
    const sent = send({ conversationId: named }, () => expect.unreachable());
    await clock.advance(999);
    confirm();
    await settle();
    socket.acknowledge();
    expect(await sent).toMatchObject({ status: 200 });
  });

  test("a send whose key and device are unchanged is written once", async () => {
    const { socket, send, confirm, clock, settle } = await setUp();
    const sent = send({ conversationId: named }, () => Promise.resolve({ kind: "same", principal: limited }));
    await clock.advance(4_000);
    confirm();
    await settle();
    socket.acknowledge();
    expect(await sent).toMatchObject({ status: 200 });
    expect(socket.inputs()).toHaveLength(1);
  });

  test("a command whose key ends while the device is asked is refused, and nothing is written", async () => {
    const { socket, stop, confirm, clock } = await setUp();
    const stopped = stop(end);
    await clock.advance(4_000);
    confirm();
    expect(await stopped).toMatchObject({ status: 401 });
    expect(socket.frames.map(({ type }) => type)).toEqual(["conversation_retrieve"]);
  });

  test("a command whose key ends while the device is asked for the limits that it has had since is refused, and nothing is written", async () => {
    const { socket, send, stop, confirm, clock, settle } = await setUp();
    void send({ conversationId: named });
    const restrict = change({ scopes: new Set(["control"]) });
    let calls = 0;
    // It waits a second for the message, whose device is asked.
    const stopped = stop(() => ((calls += 1) === 1 ? restrict() : end()), { ...limited, agentIds: null });
    await clock.advance(4_000);
    confirm();
    await settle();
    expect(socket.frames.map(({ type }) => type)).not.toContain("abort_message");
    expect(await stopped).toMatchObject({ status: 401 });
  });
});

describe("requests that wait for something else", () => {
  test("a send whose key ends while it waits for the message before it is refused, and nothing is written", async () => {
    const { socket, send, clock } = await setUp();
    const first = send({ messages: [userMessage("m-1")] });
    const second = send({ messages: [userMessage("m-2")] }, end);
    await clock.advance(maxMessageWaitMs);
    expect(await second).toMatchObject({ status: 401 });
    expect(socket.inputs()).toHaveLength(1);
    socket.acknowledge();
    expect(await first).toMatchObject({ status: 200 });
  });

  test("a message that its key sends twice while it waits is written once, although the key has changed", async () => {
    const { socket, send, clock, settle } = await setUp();
    void send({ messages: [userMessage("m-1")] });
    await settle();
    const sends = [1, 2].map(() =>
      send({ messages: [userMessage("m-2")] }, change({ agentIds: ["agent-1", "agent-2"] })),
    );
    await clock.advance(maxMessageWaitMs);
    socket.acknowledge();
    const replayed = (await Promise.all(sends)).map(({ status, headers }) => [status, headers["idempotency-replayed"]]);
    expect(replayed).toEqual([
      [200, undefined],
      [200, "true"],
    ]);
    expect(socket.inputs()).toHaveLength(2);
  });

  test("a message that waits behind one whose key has ended is written", async () => {
    const { socket, send, clock } = await setUp();
    void send({ messages: [userMessage("m-1")] });
    const second = send({ messages: [userMessage("m-2")] }, end);
    const third = send({ messages: [userMessage("m-3")] });
    await clock.advance(maxMessageWaitMs);
    expect(await second).toMatchObject({ status: 401 });
    await clock.advance(maxMessageWaitMs);
    socket.acknowledge();
    expect(await third).toMatchObject({ status: 200 });
    expect(socket.inputs()).toHaveLength(2);
  });

  test("waiting messages whose keys cannot be checked again delay no message of another conversation, and none of each other", async () => {
    const { socket, send, clock, settle } = await setUp();
    const hanging = (): Promise<never> => new Promise(() => undefined);
    const conversations = Array.from({ length: 6 }, (_, index) => `conv-${index}`);
    const sendTo = (name: string, decideAgain?: DecideAgain) =>
      conversations.map((conversationId) => {
        const body = { conversationId, messages: [userMessage(`${name} of ${conversationId}`)] };
        return send(body, decideAgain, anyone);
      });
    void sendTo("first");
    const waiting = sendTo("second", hanging);
    await clock.advance(maxMessageWaitMs);
    expect(socket.inputs()).toHaveLength(6);
    void send({ messages: [userMessage("other")] }, undefined, { ...anyone, keyId: "other" });
    await settle();
    expect(socket.inputs()).toHaveLength(7);
    await clock.advance(maxDecisionMs);
    expect((await Promise.all(waiting)).map(({ status }) => status)).toEqual(conversations.map(() => 503));
    expect(socket.inputs()).toHaveLength(7);
  });

  test("a caller that has left while its key is checked again does not hold up the next message of its conversation", async () => {
    const { socket, send, clock, settle } = await setUp();
    const first = send({ messages: [userMessage("m-1")] });
    const controller = new AbortController();
    const hanging = (): Promise<never> => new Promise(() => undefined);
    const second = send({ messages: [userMessage("m-2")] }, hanging, limited, controller.signal);
    await clock.advance(maxMessageWaitMs);
    socket.acknowledge();
    expect(await first).toMatchObject({ status: 200 });
    const other = send({ messages: [userMessage("m-3")] }, undefined, anyone);
    await settle();
    expect(socket.inputs()).toHaveLength(1);
    const left = new Error("the caller has left");
    controller.abort(left);
    await expect(second).rejects.toBe(left);
    await settle();
    expect(socket.inputs()).toHaveLength(2);
    socket.acknowledge();
    expect(await other).toMatchObject({ status: 200 });
  });

  test("a send whose key cannot be checked again in time, or before the server closes, is refused, and does not hold up others any longer", async () => {
    const { socket, send, clock, settle, server } = await setUp();
    const hanging = (): Promise<never> => new Promise(() => undefined);
    void send({ messages: [userMessage("m-1")] });
    const second = send({ messages: [userMessage("m-2")] }, hanging);
    await clock.advance(maxMessageWaitMs);
    const other = send({ messages: [userMessage("m-3")], conversationId: named }, undefined, anyone);
    await clock.advance(maxDecisionMs);
    expect(await second).toMatchObject({ status: 503, body: { errorCode: "storage_unavailable" } });
    expect(socket.inputs()).toHaveLength(2);
    const last = send({ messages: [userMessage("m-4")], conversationId: named }, hanging);
    await clock.advance(maxMessageWaitMs);
    const closed = server.close();
    await settle();
    expect(await last).toMatchObject({ status: 503, body: { errorCode: "shutting_down" } });
    await closed;
    expect(socket.inputs()).toHaveLength(2);
    void other;
  });

  test("the later part of a body whose key ends after the first part is not written, and the response says so", async () => {
    const { socket, send, clock, settle } = await setUp();
    socket.ask("call-1");
    const approvals = [allow, { ...allow, tool_call_id: "call-2" }];
    const sent = send({ messages: [{ type: "approval", approvals }] }, end);
    await settle();
    socket.acknowledge({ accepted: true });
    await clock.advance(2_000);
    socket.ask("call-2");
    const parts = { count: 2, delivered: 1, errorCode: "invalid_key" };
    expect(await sent).toMatchObject({ status: 409, body: { errorCode: "input_rejected", parts } });
    expect(socket.inputs()).toHaveLength(1);
  });

  test("a message whose key ends while its mode is set is refused, and not written", async () => {
    const { socket, send, clock } = await setUp();
    const sent = send({}, end, { ...limited, setMode: "standard" });
    await clock.advance(4_000);
    const device_status = { current_permission_mode: "standard" };
    socket.say({ type: "update_device_status", runtime, device_status });
    expect(await sent).toMatchObject({ status: 401 });
    expect(socket.inputs()).toEqual([]);
  });

  test("a message whose key gets a mode to set while it waits does not delay the messages of other keys", async () => {
    const { socket, store, send, clock, settle } = await setUp();
    const { findConnection } = store;
    const slow = Promise.withResolvers<void>();
    const delayed = (...given: Parameters<typeof findConnection>) => slow.promise.then(() => findConnection(...given));
    Object.assign(store, { findConnection: delayed });
    void send({}, changeOnce({ setMode: "standard" }));
    await clock.advance(1_000);
    slow.resolve();
    await settle();
    expect(socket.frames.at(-1)).toMatchObject({ type: "change_device_state" });
    void send({ messages: [userMessage("m-2")], conversationId: named }, undefined, { ...anyone, keyId: "other" });
    await settle();
    expect(socket.inputs()).toMatchObject([{ runtime: { conversation_id: named } }]);
  });
});
