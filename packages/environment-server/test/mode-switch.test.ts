/** A key that sets a mode waits until the device reports it. Meanwhile the messages of other keys leave, and a silent device is not asked each time. */
import type { Principal } from "@letta-environments/schema";
import { expect, test } from "vitest";
import { acknowledgementTimeoutMs, commandTimeoutMs, maxMessageWaitMs, silencePauseMs } from "../src/limits.ts";
import type { FakeSocket } from "./support/fake-socket.ts";
import { type Answer, anyone, createHarness, userMessage } from "./support/harness.ts";

const setting: Principal = { ...anyone, keyId: "setting", setMode: "standard" };
const editing: Principal = { ...anyone, keyId: "editing", setMode: "acceptEdits" };

/** A frame that changes the mode of a conversation. */
interface ChangeFrame extends Record<string, unknown> {
  readonly runtime: { readonly agent_id: string };
  readonly payload: { readonly mode: string };
}

function isChange(frame: Record<string, unknown>): frame is ChangeFrame {
  return frame["type"] === "change_device_state";
}

function report(socket: FakeSocket, agentId: string, mode = "standard"): void {
  const runtime = { agent_id: agentId, conversation_id: "default" };
  socket.say({ type: "update_device_status", runtime, device_status: { current_permission_mode: mode } });
}

async function setUp() {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  return {
    ...harness,
    connectionId,
    socket,
    sendBody: (body: object, options: Parameters<typeof harness.send>[2]): Promise<Answer> =>
      harness.send(connectionId, body, options),
    changes: () => socket.frames.filter(isChange),
    /** The device reports each change and acknowledges each message, from its last frame until no other follows. */
    async respond(): Promise<void> {
      for (let next = socket.frames.length - 1; next < socket.frames.length; next += 1) {
        const frame = socket.frames[next];
        if (frame !== undefined && isChange(frame)) report(socket, frame.runtime.agent_id, frame.payload.mode);
        if (frame?.["type"] === "input") socket.acknowledge();
        await harness.settle();
      }
    },
    written: () => socket.inputs().map(({ runtime }) => runtime?.agent_id),
    send: (agentId: string, principal: Principal = anyone, id = `to ${agentId}`): Promise<Answer> =>
      harness.send(connectionId, { agentId, messages: [userMessage(id)] }, { principal }),
  };
}

test("messages of other keys leave while the device changes the mode for a key that sets one, also in the same conversation", async () => {
  const { socket, settle, send, changes, written } = await setUp();
  const sent = send("agent-1", setting);
  await settle();
  expect(changes()).toHaveLength(1);
  for (const agentId of ["agent-2", "agent-1"]) {
    const other = send(agentId, anyone, `of another key to ${agentId}`);
    await settle();
    socket.acknowledge();
    expect(await other).toMatchObject({ status: 200 });
  }
  const limited = send("agent-3", { ...anyone, keyId: "limited", maxMode: "standard" });
  await settle();
  report(socket, "agent-3");
  await settle();
  socket.acknowledge();
  expect(await limited).toMatchObject({ status: 200 });
  report(socket, "agent-1");
  await settle();
  socket.acknowledge();
  expect(await sent).toMatchObject({ status: 200 });
  expect(written()).toEqual(["agent-2", "agent-1", "agent-3", "agent-1"]);
});

test("a device that did not report the mode receives no other change for such keys for a while, unless the conversation has the mode", async () => {
  const { socket, clock, settle, events, send, changes } = await setUp();
  const sends = ["agent-1", "agent-2", "agent-3"].map((agentId) => send(agentId, setting));
  await clock.advance(commandTimeoutMs);
  const refused = { status: 409, headers: { "x-should-retry": "true" }, body: { errorCode: "mode_not_set" } };
  expect(await Promise.all(sends)).toMatchObject([
    refused,
    ...["agent-2", "agent-3"].map(() => ({ ...refused, headers: { "retry-after": "30" } })),
  ]);
  expect(changes()).toHaveLength(1);
  expect(events.filter(({ type }) => type === "mode_switched")).toMatchObject([{ outcome: "unknown" }]);
  report(socket, "agent-2");
  const known = send("agent-2", setting);
  await settle();
  socket.acknowledge();
  expect(await known).toMatchObject({ status: 200 });
  await clock.advance(silencePauseMs);
  const later = send("agent-3", setting);
  await settle();
  report(socket, "agent-3");
  await settle();
  socket.acknowledge();
  expect(await later).toMatchObject({ status: 200 });
});

test("a message is not sent if the conversation leaves the mode before its turn comes, and one that repeats it is written once", async () => {
  const { socket, settle, send, written } = await setUp();
  const left = send("agent-1", setting);
  await settle();
  report(socket, "agent-1");
  report(socket, "agent-1", "unrestricted");
  expect(await left).toMatchObject({ status: 409, body: { errorCode: "mode_not_set" } });
  const sends = [send("agent-1", setting), send("agent-1", setting)];
  await settle();
  report(socket, "agent-1");
  await settle();
  socket.acknowledge();
  expect((await Promise.all(sends)).map(({ status }) => status)).toEqual([200, 200]);
  expect(written()).toEqual(["agent-1"]);
});

test("a key that may not use a conversation does not delay the messages of the key that may", async () => {
  const { socket, clock, settle, sendBody } = await setUp();
  const conversationId = "conv-1";
  socket.say({
    type: "update_device_status",
    runtime: { agent_id: "agent-1", conversation_id: conversationId },
    device_status: { current_permission_mode: "standard" },
  });
  const send = (agentId: string, principal: Principal) =>
    sendBody({ agentId, conversationId, messages: [userMessage(`to ${agentId}`)] }, { principal });
  const foreign = send("agent-2", { ...setting, keyId: "foreign", agentIds: ["agent-2"] });
  await settle();
  const own = send("agent-1", setting);
  await settle();
  expect(socket.inputs()).toHaveLength(1);
  socket.acknowledge();
  expect(await own).toMatchObject({ status: 200 });
  await clock.advance(commandTimeoutMs);
  expect(await foreign).toMatchObject({ status: 403, body: { errorCode: "agent_not_allowed" } });
});

test("a message says that the device is offline when it disconnects while it changes the mode", async () => {
  const { socket, settle, send } = await setUp();
  const sent = send("agent-1", setting);
  await settle();
  socket.listener.onClose(1006);
  expect(await sent).toMatchObject({ status: 409, body: { errorCode: "device_offline" } });
});

test("messages of keys that set different modes in one conversation leave one after the other, each in its mode", async () => {
  const { socket, settle, send, respond } = await setUp();
  const keys = [setting, editing, setting, editing].map((key, index) => ({ ...key, keyId: `key-${index}` }));
  const sends: Promise<Answer>[] = [];
  for (const key of keys) {
    sends.push(send("agent-1", key, key.keyId));
    await settle();
  }
  await respond();
  // The device is not asked about a mode that the message before is waiting for.
  expect(socket.frames.map((frame) => (isChange(frame) ? frame.payload.mode : frame["type"]))).toEqual([
    ...["standard", "input", "acceptEdits", "input"],
    ...["standard", "input", "acceptEdits", "input"],
  ]);
  expect((await Promise.all(sends)).map(({ status }) => status)).toEqual([200, 200, 200, 200]);
});

test("the mode of a conversation is not changed for another key while the ids of a message are stored, which needs no change", async () => {
  const { store, socket, settle, send, respond } = await setUp();
  report(socket, "agent-1");
  const first = send("agent-1", setting, "first");
  await settle();
  const sends = [send("agent-1", editing, "second"), send("agent-1", setting, "third")];
  await settle();
  const { reserve } = store;
  const stored = Promise.withResolvers<void>();
  Object.assign(store, {
    reserve: (...given: Parameters<typeof reserve>) => stored.promise.then(() => reserve(...given)),
  });
  socket.acknowledge();
  expect(await first).toMatchObject({ status: 200 });
  await settle();
  await respond();
  stored.resolve();
  await settle();
  await respond();
  expect(await Promise.all(sends)).toMatchObject([{ status: 200 }, { status: 200 }]);
});

test("no mode is set for a caller that has disconnected while another conversation was switched", async () => {
  const { socket, settle, send, sendBody, changes, events } = await setUp();
  const first = send("agent-1", setting);
  await settle();
  const gone = new AbortController();
  const body = { agentId: "agent-2", messages: [userMessage("left")] };
  const left = sendBody(body, { principal: { ...setting, keyId: "other" }, signal: gone.signal });
  await settle();
  gone.abort(new Error("gone"));
  const failure = left.catch((cause: unknown) => cause);
  report(socket, "agent-1");
  await settle();
  expect(changes()).toHaveLength(1);
  expect(await failure).toMatchObject({ message: "gone" });
  socket.acknowledge();
  expect(await first).toMatchObject({ status: 200 });
  expect(events.filter(({ type }) => type === "mode_switched")).toHaveLength(1);
});

test("a device that did not report the mode of one key is still asked for the mode of another", async () => {
  const { socket, clock, settle, send, respond } = await setUp();
  const declined = send("agent-1", editing);
  await settle();
  report(socket, "agent-1");
  await clock.advance(commandTimeoutMs);
  expect(await declined).toMatchObject({ status: 409, body: { errorCode: "mode_not_set" } });
  const other = send("agent-2", setting);
  await settle();
  await respond();
  expect(await other).toMatchObject({ status: 200 });
});

test("a message ends if another caller changes the mode each time that it was set", async () => {
  const { connectionId, socket, changes, settle, send, call } = await setUp();
  const controller: Principal = { ...anyone, scopes: new Set([...anyone.scopes, "control"] as const) };
  const body = { agentId: "agent-1", mode: "unrestricted" };
  const answers: Answer[] = [];
  void send("agent-1", setting).then((answer) => answers.push(answer));
  // The device reads the next frame when nothing else can happen, so the change of the other caller is not reported yet.
  for (let next = 0; answers.length === 0 && next < 60; next += 1) {
    await settle();
    const frame = socket.frames[next];
    if (frame === undefined) break;
    if (isChange(frame)) report(socket, "agent-1", frame.payload.mode);
    if (isChange(frame) && frame.payload.mode === "standard")
      void call("POST", `/v1/environments/${connectionId}/mode`, { body, principal: controller });
    if (frame["type"] !== "sync") continue;
    report(socket, "agent-1", "unrestricted");
    socket.say({ type: "sync_response", request_id: frame["request_id"], success: true });
  }
  expect(answers).toMatchObject([{ status: 409, body: { errorCode: "mode_not_set" } }]);
  expect(changes().length).toBeGreaterThan(2);
  expect(socket.inputs()).toEqual([]);
});

test("messages of several keys that set the same mode wait for an earlier message at the same time", async () => {
  const { socket, clock, settle, send } = await setUp();
  report(socket, "agent-1");
  const keys = ["a", "b", "c", "d"].map((keyId): Principal => ({ ...setting, keyId }));
  const sends = keys.map((key) => send("agent-1", key, `of ${key.keyId}`));
  await settle();
  await clock.advance(maxMessageWaitMs);
  await settle();
  expect(socket.inputs()).toHaveLength(keys.length);
  socket.acknowledge();
  await clock.advance(acknowledgementTimeoutMs);
  await Promise.all(sends);
});

test("a message waits up to a second for the acknowledgement of one of another key, however long the mode of that one took", async () => {
  const { socket, clock, settle, send } = await setUp();
  const sends = [send("agent-1", setting, "first"), send("agent-1", { ...setting, keyId: "other" }, "second")];
  await clock.advance(2 * maxMessageWaitMs);
  report(socket, "agent-1");
  await clock.advance(maxMessageWaitMs - 1);
  expect(socket.inputs()).toHaveLength(1);
  await clock.advance(1);
  expect(socket.inputs()).toHaveLength(2);
  for (const { request_id: id } of socket.inputs()) socket.acknowledge(undefined, id);
  await settle();
  expect((await Promise.all(sends)).map(({ status }) => status)).toEqual([200, 200]);
});

test("a device that reports no mode keeps keys that set different modes waiting at the same time", async () => {
  const { clock, send } = await setUp();
  const statuses: number[] = [];
  for (const sent of [send("agent-1", setting), send("agent-2", editing)])
    void sent.then(({ status }) => statuses.push(status));
  await clock.advance(commandTimeoutMs);
  expect(statuses).toEqual([409, 409]);
});
