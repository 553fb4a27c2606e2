/** A stop waits a second at most for the messages that were accepted before it. One that has not left by then must not run after the stop. */
import { type Principal, problemResponse } from "@letta-environments/schema";
import { expect, test } from "vitest";
import { maxMessageWaitMs, maxWaitingCommands } from "../src/limits.ts";
import type { FakeSocket } from "./support/fake-socket.ts";
import { type Answer, anyone, createHarness, toRequest, userMessage } from "./support/harness.ts";

const operator: Principal = { ...anyone, keyId: "operator", scopes: new Set([...anyone.scopes, "control"]) };

/** The device answers the last frame that was about a conversation, as a limited key needs it. */
function answer({ frames, say }: FakeSocket, conversationId: string): void {
  const runtime = { agent_id: "agent-1", conversation_id: conversationId };
  const question = frames.findLast(({ type }) => type === "conversation_retrieve");
  if (question === undefined)
    return say({ type: "update_device_status", runtime, device_status: { current_permission_mode: "standard" } });
  const conversation = { id: conversationId, agent_id: "agent-1", summary: null };
  const { request_id } = question;
  say({ type: "conversation_retrieve_response", request_id, success: true, conversation });
}

async function setUp(limits: Partial<Principal>) {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  const limited: Principal = { ...anyone, keyId: "limited", ...limits };
  return {
    ...harness,
    connectionId,
    socket,
    written: () => socket.inputs().flatMap(({ payload }) => ("messages" in payload ? payload.messages : [])),
    stops: () => socket.frames.filter(({ type }) => type === "abort_message"),
    stop: (conversationId: string, members: object = {}): Promise<Answer> =>
      harness.call("POST", `/v1/environments/${connectionId}/stop`, {
        principal: operator,
        body: { agentId: "agent-1", conversationId, ...members },
      }),
    send: (id: string, conversationId: string, principal = limited): Promise<Answer> =>
      harness.send(connectionId, { messages: [userMessage(id)], conversationId }, { principal }),
  };
}

const limits: [Partial<Principal>, number, string][] = [
  [{ setMode: "standard" }, 409, "mode_not_set"],
  [{ maxMode: "standard" }, 403, "mode_not_allowed"],
  [{ agentIds: ["agent-1"] }, 403, "agent_not_allowed"],
];
const detail = "The conversation was stopped before the message was sent. Nothing was sent.";

test.each(limits)(
  "a message of a key with %o that still waits for its device when a stop is sent does not run after the stop, and its id is free",
  async (limit, status, errorCode) => {
    const { socket, clock, settle, send, stop, stops, written } = await setUp(limit);
    const sent = [send("a", "conv-1"), send("b", "conv-1")];
    await settle();
    void stop("conv-1");
    await clock.advance(maxMessageWaitMs - 1);
    expect(stops()).toEqual([]);
    await clock.advance(1);
    expect(stops()).toHaveLength(1);
    answer(socket, "conv-1");
    await settle();
    expect(written()).toEqual([]);
    const refused = { status, headers: { "x-should-retry": "false" }, body: { errorCode, detail } };
    expect(await Promise.all(sent)).toMatchObject([refused, refused]);
    const again = send("a", "conv-1");
    await settle();
    socket.acknowledge();
    expect(await again).toMatchObject({ status: 200 });
    expect(written()).toHaveLength(1);
  },
);

test("a message that waits behind another conversation of its key does not run after a stop that was sent meanwhile, and later messages do", async () => {
  const { socket, clock, settle, send, stop, written } = await setUp({ maxMode: "standard" });
  const other = send("a", "conv-1");
  const waiting = send("b", "conv-2");
  await settle();
  void stop("conv-2");
  await clock.advance(maxMessageWaitMs);
  const later = send("c", "conv-2");
  const ordinary = send("d", "conv-2", anyone);
  await settle();
  socket.acknowledge();
  expect(await ordinary).toMatchObject({ status: 200 });
  answer(socket, "conv-1");
  await settle();
  socket.acknowledge();
  expect(await other).toMatchObject({ status: 200 });
  expect(await waiting).toMatchObject({ status: 403, body: { detail } });
  answer(socket, "conv-2");
  await settle();
  socket.acknowledge();
  expect(await later).toMatchObject({ status: 200 });
  expect(written().map((message) => message.client_message_id)).toEqual(["d", "a", "c"]);
});

test("a stop of one run does not end the messages that wait for their device", async () => {
  const { socket, clock, settle, send, stop, stops } = await setUp({ maxMode: "standard" });
  const sent = send("a", "conv-1");
  await settle();
  void stop("conv-1", { runId: "run-1" });
  await clock.advance(maxMessageWaitMs);
  expect(stops()).toHaveLength(1);
  answer(socket, "conv-1");
  await settle();
  socket.acknowledge();
  expect(await sent).toMatchObject({ status: 200 });
});

test("a stop overtakes a message whose ids are being stored, which is not written then", async () => {
  const { store, socket, clock, settle, send, stop, written, stops } = await setUp({ maxMode: "standard" });
  const { reserve } = store;
  const stored = Promise.withResolvers<void>();
  Object.assign(store, {
    reserve: (...given: Parameters<typeof reserve>) => stored.promise.then(() => reserve(...given)),
  });
  const sent = send("a", "conv-1");
  await settle();
  answer(socket, "conv-1");
  await settle();
  void stop("conv-1");
  await clock.advance(maxMessageWaitMs);
  expect(stops()).toHaveLength(1);
  stored.resolve();
  expect(await sent).toMatchObject({ status: 403, body: { detail } });
  expect(written()).toEqual([]);
});

test("a message of a key without such limits is sent before the stop, while a key that sets a mode waits for its device", async () => {
  const { socket, settle, send, stop, written, stops } = await setUp({ setMode: "standard" });
  void send("a", "conv-1");
  await settle();
  const ordinary = send("b", "conv-2", anyone);
  void stop("conv-2");
  await settle();
  expect(written().map((message) => message.client_message_id)).toEqual(["b"]);
  expect(stops()).toHaveLength(1);
  socket.acknowledge();
  expect(await ordinary).toMatchObject({ status: 200 });
});

test("a message whose key need not wait for its device is sent before a stop of another key that arrives immediately after it", async () => {
  const { socket, settle, send, stop, stops } = await setUp({ maxMode: "standard" });
  answer(socket, "conv-1");
  const sent = send("a", "conv-1");
  void stop("conv-1");
  await settle();
  expect(stops()).toHaveLength(1);
  socket.acknowledge();
  expect(await sent).toMatchObject({ status: 200 });
});

test("a message of a limited key does not run after a stop that names its conversation without its agent", async () => {
  const { socket, clock, settle, send, stop, stops, written } = await setUp({ setMode: "standard" });
  const sent = send("a", "conv-1");
  await settle();
  void stop("conv-1", { agentId: undefined });
  await clock.advance(maxMessageWaitMs);
  expect(stops()).toHaveLength(1);
  answer(socket, "conv-1");
  await settle();
  expect(written()).toEqual([]);
  expect(await sent).toMatchObject({ status: 409, body: { detail } });
});

test("a message that waits for an earlier one is sent before a stop that names its conversation without its agent", async () => {
  const { socket, settle, send, stop, stops, written } = await setUp({});
  const sent = [send("a", "conv-1"), send("b", "conv-1")];
  await settle();
  expect(written()).toHaveLength(1);
  void stop("conv-1", { agentId: undefined });
  await settle();
  expect(written()).toHaveLength(2);
  expect(stops()).toHaveLength(1);
  for (const { request_id } of socket.inputs()) socket.acknowledge(undefined, request_id);
  expect(await Promise.all(sent)).toMatchObject([{ status: 200 }, { status: 200 }]);
});

test("a stop that was not sent, because too many commands wait for the device, refuses no message", async () => {
  const { socket, clock, settle, send, stop } = await setUp({ setMode: "standard" });
  const sent = send("a", "conv-1");
  await settle();
  for (let index = 1; index < maxWaitingCommands; index += 1) void stop(`other-${index}`);
  await settle();
  const refused = stop("conv-1");
  await clock.advance(maxMessageWaitMs);
  expect(await refused).toMatchObject({ status: 429, body: { errorCode: "queue_full" } });
  answer(socket, "conv-1");
  await settle();
  socket.acknowledge();
  expect(await sent).toMatchObject({ status: 200 });
});

test("a key that has ended learns that it has ended, and not that the conversation of its message was stopped", async () => {
  const { connectionId, socket, clock, settle, server, stop, stops } = await setUp({});
  const body = { agentId: "agent-1", conversationId: "conv-1", messages: [userMessage("a")] };
  const ended = problemResponse("invalid_key");
  const sent = server.handle(
    toRequest("POST", `/v1/environments/${connectionId}/messages`, { body }),
    { ...anyone, keyId: "limited", setMode: "standard" },
    { authority: "http://127.0.0.1:8787", decideAgain: () => Promise.resolve({ kind: "refused", response: ended }) },
  );
  await settle();
  void stop("conv-1");
  await clock.advance(maxMessageWaitMs);
  expect(stops()).toHaveLength(1);
  answer(socket, "conv-1");
  expect(await sent).toMatchObject({ status: ended.status, body: ended.body });
});
