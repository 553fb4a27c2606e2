/** Changes of the mode that have left for the device, which has not reported them: a limited key's message would run after them. */
import type { Principal } from "@letta-environments/schema";
import { describe, expect, test } from "vitest";
import { commandTimeoutMs } from "../src/limits.ts";
import { createFakeSocket, type FakeSocket } from "./support/fake-socket.ts";
import { type Answer, anyone, createHarness, type Harness, toRequest, userMessage } from "./support/harness.ts";

const operator: Principal = { ...anyone, scopes: new Set([...anyone.scopes, "view", "control"] as const) };
const limited: Principal = { ...anyone, maxMode: "acceptEdits" };
const setting: Principal = { ...limited, setMode: "standard" };
const runtime = { agent_id: "agent-1", conversation_id: "default" };

function report(socket: FakeSocket, mode: string, scope: object = runtime): void {
  socket.say({ type: "update_device_status", runtime: scope, device_status: { current_permission_mode: mode } });
}

/** A device whose conversation has reported `standard`, and that answers nothing by itself. */
async function connected() {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  report(socket, "standard");
  const begin = async (answer: Promise<Answer>): Promise<{ readonly answer: Promise<Answer> }> => {
    await harness.settle();
    return { answer };
  };
  return {
    ...harness,
    connectionId,
    socket,
    change: (mode: string, members: object = {}) =>
      begin(
        harness.call("POST", `/v1/environments/${connectionId}/mode`, {
          body: { agentId: "agent-1", mode, ...members },
          principal: operator,
        }),
      ),
    send: (principal: Principal, id = "m-1", members: object = {}) =>
      begin(harness.send(connectionId, { messages: [userMessage(id)], ...members }, { principal })),
  };
}

/** Lets a viewer start the conversation in a mode, and returns the id of the frame that the device receives. */
async function startIn(
  {
    server,
    settle,
    ...device
  }: Pick<Harness, "server" | "settle"> & { readonly connectionId: string; readonly socket: FakeSocket },
  mode: string,
): Promise<{ readonly viewer: FakeSocket; readonly requestId: unknown }> {
  const request = toRequest("GET", `/v1/environments/${device.connectionId}/status/ws`);
  const decision = await server.upgrade(request, operator);
  if (decision.kind === "refused") throw new Error("refused");
  const viewer = createFakeSocket();
  viewer.listener = decision.attach(viewer);
  viewer.say({ type: "runtime_start", request_id: "r", ...runtime, mode });
  await settle();
  const frame = device.socket.frames.at(-1);
  expect(frame).toMatchObject({ type: "runtime_start", mode });
  return { viewer, requestId: frame?.["request_id"] };
}

const refusedForNow = (errorCode: string) => ({ headers: { "x-should-retry": "true" }, body: { errorCode } });
const startResponse = (requestId: unknown, members: object = {}) => {
  return { type: "runtime_start_response", request_id: requestId, success: true, runtime, ...members };
};
const failure = { message_type: "loop_error", message: "Unsupported permission mode", is_terminal: false };

describe("a change of the mode that the device has not reported", () => {
  test("a key with a maximum mode sends nothing while a change beyond it is on its way, and the id stays free", async () => {
    const { socket, change, send } = await connected();
    const { answer } = await change("unrestricted");
    expect(await (await send(limited)).answer).toMatchObject(refusedForNow("mode_not_allowed"));
    report(socket, "unrestricted");
    expect(await answer).toMatchObject({ status: 200 });
    expect(await (await send(limited)).answer).toMatchObject({ headers: { "x-should-retry": "false" } });
    expect(socket.inputs()).toEqual([]);
    const back = await change("standard");
    // A stricter mode does not count before it is reported.
    expect(await (await send(limited)).answer).toMatchObject({ body: { errorCode: "mode_not_allowed" } });
    report(socket, "standard");
    expect(await back.answer).toMatchObject({ status: 200 });
    const sent = await send(limited);
    socket.acknowledge();
    expect(await sent.answer).toMatchObject({ status: 200 });
  });

  test("a key that sets a mode sets it again after a change that is on its way, and sends its message after that", async () => {
    const { socket, settle, change, send } = await connected();
    await change("unrestricted");
    const { answer } = await send(setting);
    expect(socket.frames).toHaveLength(1);
    report(socket, "unrestricted");
    await settle();
    expect(socket.frames.at(-1)).toMatchObject({ type: "change_device_state", payload: { mode: "standard" } });
    report(socket, "standard");
    await settle();
    socket.acknowledge();
    expect(await answer).toMatchObject({ status: 200 });
  });

  test("a change without an answer still counts, until the device reports that mode", async () => {
    const { socket, clock, change, send, settle } = await connected();
    const { answer } = await change("unrestricted");
    await clock.advance(commandTimeoutMs);
    expect(await answer).toMatchObject({ status: 504 });
    expect(await (await send(limited)).answer).toMatchObject(refusedForNow("mode_not_allowed"));
    const set = await send(setting);
    // The device has not read the earlier change, so this report says nothing about it.
    report(socket, "standard");
    expect(await set.answer).toMatchObject(refusedForNow("mode_not_set"));
    const again = await send(setting);
    report(socket, "unrestricted");
    report(socket, "standard");
    await settle();
    socket.acknowledge();
    expect(await again.answer).toMatchObject({ status: 200 });
  });

  test("a change that the device refuses, or whose socket has ended, does not count any more", async () => {
    const { socket, change, send, open, connectionId } = await connected();
    const { answer } = await change("unrestricted");
    socket.say({ type: "stream_delta", runtime, delta: failure });
    expect(await answer).toMatchObject({ status: 409 });
    const sent = await send(limited);
    socket.acknowledge();
    expect(await sent.answer).toMatchObject({ status: 200 });
    await change("unrestricted");
    socket.listener.onClose(1006);
    const next = await open(connectionId);
    report(next, "standard");
    const later = await send(limited, "m-2");
    next.acknowledge();
    expect(await later.answer).toMatchObject({ status: 200 });
  });

  test("a change of another conversation does not count, and a named conversation is the same whatever agent is named", async () => {
    const { socket, change, send } = await connected();
    const named = { conversationId: "conv-1" };
    report(socket, "standard", { ...runtime, conversation_id: "conv-1" });
    await change("unrestricted", { agentId: "agent-2", ...named });
    expect(await (await send(limited, "m-1", named)).answer).toMatchObject(refusedForNow("mode_not_allowed"));
    const sent = await send(limited);
    socket.acknowledge();
    expect(await sent.answer).toMatchObject({ status: 200 });
  });
});

describe("a viewer's runtime_start with a mode", () => {
  test("its mode counts until the device has responded, whatever it reports before, and then the mode must be reported", async () => {
    const world = await connected();
    const { socket, send, settle } = world;
    const { requestId, viewer } = await startIn(world, "unrestricted");
    report(socket, "unrestricted");
    report(socket, "standard");
    expect(await (await send(limited)).answer).toMatchObject(refusedForNow("mode_not_allowed"));
    viewer.listener.onClose(1001);
    socket.say(startResponse(requestId));
    const { answer } = await send(limited);
    expect(socket.frames.at(-1)).toMatchObject({ type: "sync", force_device_status: true });
    report(socket, "standard");
    await settle();
    socket.acknowledge();
    expect(await answer).toMatchObject({ status: 200 });
  });

  test("a key that sets a mode sends nothing before the device has responded to it", async () => {
    const world = await connected();
    const { socket, send, settle } = world;
    const { requestId } = await startIn(world, "unrestricted");
    const { answer } = await send(setting);
    report(socket, "standard");
    expect(await answer).toMatchObject(refusedForNow("mode_not_set"));
    // Its agent can be long.
    socket.say(startResponse(requestId, { agent: { system: "x".repeat(2 ** 21) } }));
    report(socket, "unrestricted");
    const again = await send(setting);
    report(socket, "standard");
    await settle();
    socket.acknowledge();
    expect(await again.answer).toMatchObject({ status: 200 });
  });
});
