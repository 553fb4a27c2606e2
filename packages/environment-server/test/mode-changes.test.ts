/** Modes that have left for the device, which may not have handled them yet: a limited key's message would run after them. */
import type { Principal } from "@letta-environments/schema";
import { describe, expect, test } from "vitest";
import { commandTimeoutMs, maxStartMs, maxUnreportedModes, silencePauseMs } from "../src/limits.ts";
import type { FakeSocket } from "./support/fake-socket.ts";
import { type Answer, anyone, createHarness, userMessage } from "./support/harness.ts";
import { watchDevice } from "./support/viewer.ts";

const operator: Principal = { ...anyone, scopes: new Set([...anyone.scopes, "view", "control"] as const) };
const limited: Principal = { ...anyone, maxMode: "acceptEdits" };
const setting: Principal = { ...limited, setMode: "standard" };
const runtime = { agent_id: "agent-1", conversation_id: "default" };

function report(socket: FakeSocket, mode: string, scope: object = runtime): void {
  socket.say({ type: "update_device_status", runtime: scope, device_status: { current_permission_mode: mode } });
}

/** A device that reads its frames when the test lets it, and handles them in order. */
function script(socket: FakeSocket) {
  const device = { mode: "standard", isLosingReports: false, answersSync: true };
  const unread: Record<string, unknown>[] = [];
  socket.onFrame = (frame) => void unread.push(frame);
  const readNext = (): boolean => {
    const frame = unread.shift();
    if (frame === undefined) return false;
    const { type, request_id, payload } = frame as { type: string; request_id: string; payload: { mode: string } };
    if (type === "change_device_state") device.mode = payload.mode;
    if (type === "change_device_state" && !device.isLosingReports) report(socket, device.mode);
    if (type === "sync") report(socket, device.mode);
    if (type === "sync" && device.answersSync)
      socket.say({ type: "sync_response", request_id, runtime, success: true });
    if (type === "input") socket.acknowledge();
    return true;
  };
  return { device, unread, readNext };
}

/** A device whose conversation has reported `standard`. */
async function connected() {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  report(socket, "standard");
  const scripted = script(socket);
  const begin = async (answer: Promise<Answer>): Promise<{ readonly answer: Promise<Answer> }> => {
    await harness.settle();
    return { answer };
  };
  const readAll = async (): Promise<void> => {
    await harness.settle();
    while (scripted.readNext()) await harness.settle();
  };
  const change = (mode: string, members: object = {}) =>
    begin(
      harness.call("POST", `/v1/environments/${connectionId}/mode`, {
        body: { agentId: "agent-1", mode, ...members },
        principal: operator,
      }),
    );
  let count = 0;
  const send = (principal: Principal, members: object = {}) =>
    begin(harness.send(connectionId, { messages: [userMessage(`m-${(count += 1)}`)], ...members }, { principal }));
  return {
    ...harness,
    ...scripted,
    connectionId,
    socket,
    readAll,
    change,
    send,
    /** Sends while the device reads. */
    async sendNow(principal: Principal, members: object = {}): Promise<Answer> {
      const { answer } = await send(principal, members);
      await readAll();
      return answer;
    },
    async changeNow(mode: string): Promise<Answer> {
      const { answer } = await change(mode);
      await readAll();
      return answer;
    },
    view: () => watchDevice(harness, connectionId, operator),
  };
}

type World = Awaited<ReturnType<typeof connected>>;

/** Lets a viewer start the conversation in a mode, and returns the function that answers as the device does. */
async function startIn({ view, settle, socket, device }: World, mode: string) {
  const viewer = await view();
  viewer.say({ type: "runtime_start", request_id: "r", ...runtime, mode });
  await settle();
  const frame = socket.frames.at(-1);
  expect(frame).toMatchObject({ type: "runtime_start", mode });
  const response = { type: "runtime_start_response", request_id: frame?.["request_id"], success: true, runtime };
  return {
    viewer,
    finish(members: object = {}): void {
      device.mode = mode;
      socket.say({ ...response, ...members });
    },
  };
}

const refusedForNow = (errorCode: string) => ({ headers: { "x-should-retry": "true" }, body: { errorCode } });
const accepted = { status: 200 };
const failure = { message_type: "loop_error", message: "Unsupported permission mode", is_terminal: false };

describe("a change of the mode that the device has not reported", () => {
  test("a key with a maximum mode sends nothing while a change beyond it is on its way, and the id stays free", async () => {
    const { socket, change, send, readAll } = await connected();
    const there = await change("unrestricted");
    const early = await send(limited);
    expect(socket.frames.at(-1)).toMatchObject({ type: "sync" });
    await readAll();
    expect(await there.answer).toMatchObject(accepted);
    expect(await early.answer).toMatchObject({
      headers: { "x-should-retry": "false" },
      body: { errorCode: "mode_not_allowed" },
    });
    const back = await change("standard");
    // A stricter mode does not count before it is reported.
    expect(await (await send(limited)).answer).toMatchObject({ body: { errorCode: "mode_not_allowed" } });
    expect(socket.inputs()).toEqual([]);
    await readAll();
    expect(await back.answer).toMatchObject(accepted);
    const sent = await send(limited, { messages: [userMessage("m-1")] });
    await readAll();
    expect(await sent.answer).toMatchObject(accepted);
  });

  test("a key that sets a mode sets it again after a change that is on its way, and sends its message after that", async () => {
    const { socket, change, sendNow } = await connected();
    await change("unrestricted");
    expect(await sendNow(setting)).toMatchObject(accepted);
    const modes = socket.frames.filter(({ type }) => type === "change_device_state");
    expect(modes).toMatchObject([{ payload: { mode: "unrestricted" } }, { payload: { mode: "standard" } }]);
    expect(socket.frames.at(-1)).toMatchObject({ type: "input" });
  });

  test("a change without an answer still counts, until the device has handled it", async () => {
    const { device, clock, change, send, sendNow } = await connected();
    device.isLosingReports = true;
    const { answer } = await change("unrestricted");
    await clock.advance(commandTimeoutMs);
    expect(await answer).toMatchObject({ status: 504 });
    const early = await send(limited);
    await clock.advance(commandTimeoutMs);
    expect(await early.answer).toMatchObject(refusedForNow("mode_not_allowed"));
    // The device is not asked again for a while.
    expect(await (await send(limited)).answer).toMatchObject({
      headers: { "retry-after": `${silencePauseMs / 1_000}` },
    });
    await clock.advance(silencePauseMs);
    expect(await sendNow(limited)).toMatchObject({ headers: { "x-should-retry": "false" } });
    device.isLosingReports = false;
    expect(await sendNow(setting)).toMatchObject(accepted);
  });

  test("a report that the device has dropped for a newer one, and a refusal after the time of the change, lock no key out", async () => {
    const { socket, device, clock, change, changeNow, readAll, sendNow } = await connected();
    device.isLosingReports = true;
    for (const mode of ["unrestricted", "standard"]) {
      const { answer } = await change(mode);
      await clock.advance(commandTimeoutMs);
      expect(await answer).toMatchObject({ status: 504 });
    }
    await readAll();
    device.isLosingReports = false;
    report(socket, "standard");
    socket.say({ type: "stream_delta", runtime, delta: failure });
    for (const key of [limited, setting, limited]) expect(await sendNow(key)).toMatchObject(accepted);
    expect(await changeNow("standard")).toMatchObject(accepted);
    expect(await sendNow(setting)).toMatchObject(accepted);
  });

  test("a refused change counts until the device is asked, because it may have been made, and not beyond the socket", async () => {
    const { socket, unread, change, sendNow, open, connectionId, send } = await connected();
    const { answer } = await change("unrestricted");
    unread.length = 0;
    socket.say({ type: "stream_delta", runtime, delta: failure });
    expect(await answer).toMatchObject({ status: 409 });
    expect(await sendNow(limited)).toMatchObject(accepted);
    expect(socket.frames.filter(({ type }) => type === "sync")).toHaveLength(2);
    await change("unrestricted");
    socket.listener.onClose(1006);
    const next = await open(connectionId);
    report(next, "standard");
    const later = await send(limited);
    next.acknowledge();
    expect(await later.answer).toMatchObject(accepted);
  });

  test("the mode must be reported again after the device has handled a change: its response can overtake older reports", async () => {
    const { socket, change, send, settle } = await connected();
    await change("unrestricted");
    const { answer } = await send(limited);
    const { request_id } = socket.frames.at(-1) ?? {};
    report(socket, "standard");
    socket.say({ type: "sync_response", request_id, runtime, success: true });
    await settle();
    expect(socket.frames.at(-1)).toMatchObject({ type: "sync" });
    expect(socket.frames.at(-1)).not.toMatchObject({ request_id });
    report(socket, "unrestricted");
    expect(await answer).toMatchObject({ body: { errorCode: "mode_not_allowed" } });
  });

  test("a device without a response to the question ends it with its report, and is otherwise only asked again later", async () => {
    const { device, clock, change, send, sendNow } = await connected();
    device.answersSync = false;
    await change("unrestricted");
    expect(await sendNow(setting)).toMatchObject(accepted);
    device.isLosingReports = true;
    const { answer } = await change("acceptEdits");
    await clock.advance(commandTimeoutMs);
    expect(await answer).toMatchObject({ status: 504 });
    const sent = await send(setting);
    await clock.advance(commandTimeoutMs);
    expect(await sent.answer).toMatchObject(refusedForNow("mode_not_set"));
    // Other conversations are still asked for their modes.
    const other = await send(limited, { agentId: "agent-2" });
    expect(await Promise.race([other.answer, Promise.resolve("asked")])).toBe("asked");
  });

  test("a change of another conversation does not count, and a named conversation is the same whatever agent is named", async () => {
    const { socket, change, send } = await connected();
    const named = { conversationId: "conv-1" };
    report(socket, "standard", { ...runtime, conversation_id: "conv-1" });
    await change("unrestricted", { agentId: "agent-2", ...named });
    await send(limited, named);
    expect(socket.frames.at(-1)).toMatchObject({ type: "sync" });
    const sent = await send({ ...limited, keyId: "another" });
    expect(socket.inputs()).toHaveLength(1);
    socket.acknowledge();
    expect(await sent.answer).toMatchObject(accepted);
  });
});

describe("a viewer's runtime_start with a mode", () => {
  test("its mode counts until the device has responded, whatever it reports before, and then the mode must be reported", async () => {
    const world = await connected();
    const { socket, device, sendNow } = world;
    const { viewer, finish } = await startIn(world, "unrestricted");
    report(socket, "unrestricted");
    report(socket, "standard");
    expect(await sendNow(limited)).toMatchObject(refusedForNow("mode_not_allowed"));
    viewer.listener.onClose(1001);
    finish();
    // An older report, which the response has overtaken.
    report(socket, "standard");
    expect(await sendNow(limited)).toMatchObject({ headers: { "x-should-retry": "false" } });
    device.mode = "standard";
    report(socket, "standard");
    expect(await sendNow(limited)).toMatchObject(accepted);
  });

  test("a key that sets a mode sends nothing before the device has responded to it", async () => {
    const world = await connected();
    const { socket, sendNow } = world;
    const { finish } = await startIn(world, "unrestricted");
    expect(await sendNow(setting)).toMatchObject(refusedForNow("mode_not_set"));
    // Its agent can be long.
    finish({ agent: { system: "x".repeat(2 ** 21) } });
    report(socket, "unrestricted");
    expect(await sendNow(setting)).toMatchObject(accepted);
  });

  test("a change that is written after it is not ended by a report that it may have caused", async () => {
    const world = await connected();
    const { socket, device, change, send, sendNow, readAll } = world;
    report(socket, "unrestricted");
    const { finish } = await startIn(world, "standard");
    const { answer } = await change("unrestricted");
    // The device repeats its mode before it has read either frame.
    report(socket, "unrestricted");
    expect(await answer).toMatchObject(accepted);
    finish();
    report(socket, "standard");
    const early = await send(limited);
    expect(socket.inputs()).toEqual([]);
    await readAll();
    expect(device.mode).toBe("unrestricted");
    expect(await early.answer).toMatchObject({ body: { errorCode: "mode_not_allowed" } });
    expect(await sendNow(setting)).toMatchObject(accepted);
  });

  test("one that the device does not answer counts for a minute", async () => {
    const world = await connected();
    const { socket, clock, sendNow } = world;
    await startIn(world, "unrestricted");
    expect(await sendNow(limited)).toMatchObject(refusedForNow("mode_not_allowed"));
    await clock.advance(maxStartMs / 2);
    socket.say({ type: "ping" });
    await clock.advance(maxStartMs / 2);
    expect(await sendNow(limited)).toMatchObject(accepted);
  });

  test("many of them concern no other conversation: what does not fit is refused until the device has answered some", async () => {
    const { socket, view, settle, readAll, sendNow } = await connected();
    const viewer = await view();
    const start = async (id: number): Promise<void> => {
      viewer.say({
        type: "runtime_start",
        request_id: `r-${id}`,
        ...runtime,
        conversation_id: `conv-${id}`,
        mode: "unrestricted",
      });
      await settle();
    };
    for (let id = 0; id <= maxUnreportedModes; id++) await start(id);
    const starts = socket.frames.filter(({ type }) => type === "runtime_start");
    expect(starts).toHaveLength(maxUnreportedModes);
    expect(viewer.frames).toMatchObject([
      { type: "error", code: "queue_full" },
      { type: "runtime_start_response", success: false },
    ]);
    expect(await sendNow(limited)).toMatchObject(accepted);
    expect(await sendNow(setting)).toMatchObject(accepted);
    for (const { request_id } of starts) socket.say({ type: "runtime_start_response", request_id, success: true });
    await start(maxUnreportedModes + 1);
    await readAll();
    expect(socket.frames.filter(({ type }) => type === "runtime_start")).toHaveLength(maxUnreportedModes + 1);
  });
});
