/** Limits that keep one device from exhausting the memory or the time of a server that others share. */
import { expect, test } from "vitest";
import type { EnvironmentStore } from "../src/index.ts";
import type { FakeSocket } from "./support/fake-socket.ts";
import { anyone, createHarness, type Harness, toAnswer, toRequest, userMessage } from "./support/harness.ts";

function reportQueue(socket: FakeSocket, conversationId: string, length: number): void {
  const queue = Array.from({ length }, (_, index) => ({ client_message_id: `${conversationId}-${index}` }));
  socket.say({ type: "update_queue", runtime: { agent_id: "agent-1", conversation_id: conversationId }, queue });
}

/** An id of the greatest length that counts. */
function longId(name: string): string {
  return name.padEnd(256, "-");
}

/** Reports queues of 1,000 messages with long ids, which take about 580 KB each. */
function fillQueues(socket: FakeSocket, conversations: number): void {
  for (let conversation = 0; conversation < conversations; conversation++) {
    const conversationId = longId(`conversation-${conversation}`);
    const queue = Array.from({ length: 1_000 }, (_, index) => ({ client_message_id: longId(`${index}`) }));
    socket.say({ type: "update_queue", runtime: { agent_id: "agent-1", conversation_id: conversationId }, queue });
  }
}

/** Connects devices with one key. */
async function connectMany(
  harness: Harness,
  keyId: string,
  count: number,
  name: string = "device",
): Promise<readonly FakeSocket[]> {
  const principal = { ...anyone, keyId };
  const sockets: FakeSocket[] = [];
  for (let index = 0; index < count; index++) {
    sockets.push(await harness.open(await harness.register(`${keyId}-${name}-${index}`, { principal }), principal));
  }
  return sockets;
}

/** Sends more frames than a device may, until the socket is closed. Returns how many were read. */
function flood(socket: FakeSocket): number {
  let read = 0;
  while (socket.listener.onOtherFrame(125)) read += 1;
  return read;
}

/** Returns status, code and `Retry-After` of the refusal that a registration and an upgrade of device-1 receive. */
async function refusalOf({ call, server }: Harness, connectionId: string): Promise<unknown> {
  const body = { deviceId: "device-1", connectionName: "name of device-1" };
  const registered = await call("POST", "/v1/environments/register", { body });
  const upgrade = await server.upgrade(toRequest("GET", `/v1/environments/${connectionId}/socket`), anyone);
  const upgraded = upgrade.kind === "refused" ? toAnswer(upgrade.response) : null;
  expect(upgraded).toEqual(registered);
  return [`${registered.status} ${String(registered.body["errorCode"])}`, registered.headers["retry-after"]];
}

/** Counts the calls of a store method from now on. */
function countCalls(store: EnvironmentStore, method: "saveStatus" | "settle"): () => number {
  let calls = 0;
  const original = store[method] as (...values: unknown[]) => Promise<never>;
  Object.assign(store, { [method]: (...values: unknown[]) => ((calls += 1), original(...values)) });
  return () => calls;
}

function limitExceeded({ events }: Harness): unknown[] {
  return events.flatMap((event) =>
    event.type === "device_disconnected" && event.reason === "limit_exceeded" ? [event.limit] : [],
  );
}

test("a queue report with more than 1,000 messages closes the socket with 1008 and stores nothing", async () => {
  const harness = createHarness();
  const { socket } = await harness.connect("device-1");
  reportQueue(socket, "conv-1", 1_000);
  expect(socket.closes).toEqual([]);
  reportQueue(socket, "conv-2", 1_001);
  expect(socket.closes).toEqual([{ code: 1008, reason: "A queue report lists more than 1000 messages" }]);
  expect(limitExceeded(harness)).toEqual(["A queue report lists more than 1000 messages"]);
});

test("frames after a device exceeded a limit are not read", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  const sent = harness.send(connectionId);
  await harness.settle();
  const countSettled = countCalls(harness.store, "settle");
  reportQueue(socket, "conv-2", 1_001);
  expect((await sent).status).toBe(504);
  socket.acknowledge();
  await harness.settle();
  // The one call has stored that the outcome is unknown.
  expect(countSettled()).toBe(1);
});

test("a device whose queues take more than 4 MiB over all conversations is closed with 1008", async () => {
  const harness = createHarness();
  const { socket } = await harness.connect("device-1");
  fillQueues(socket, 6);
  reportQueue(socket, longId("conversation-0"), 1_000);
  expect(socket.closes).toEqual([]);
  fillQueues(socket, 8);
  expect(socket.closes).toEqual([{ code: 1008, reason: "The device reports more than 4 MiB of queues" }]);
});

test("when the devices of a key report more than 16 MiB of queues, a device of that key is closed, not a larger one of another key", async () => {
  const harness = createHarness();
  const victim = await harness.connect("victim");
  fillQueues(victim.socket, 6);
  const greedy = await connectMany(harness, "key-2", 6);
  for (const socket of greedy) fillQueues(socket, 5);
  expect(victim.socket.closes).toEqual([]);
  expect(greedy.filter(({ closes }) => closes.length > 0)).toHaveLength(1);
  expect(limitExceeded(harness)).toEqual(["The devices of one key report more than 16 MiB of queues"]);
});

test("when all devices report more than 64 MiB of queues, a device of the key with the most is closed, whichever device reports", async () => {
  const harness = createHarness();
  const victim = await harness.connect("victim");
  for (let key = 0; key < 5; key++) {
    for (const socket of await connectMany(harness, `greedy-${key}`, 4)) fillQueues(socket, 6);
  }
  fillQueues(victim.socket, 6);
  expect(victim.socket.closes).toEqual([]);
  const limits = limitExceeded(harness);
  expect(limits.length).toBeGreaterThan(0);
  expect(new Set(limits)).toEqual(new Set(["All devices together report more than 64 MiB of queues"]));
});

test("queues of disconnected devices are forgotten before a connected device is closed", async () => {
  const harness = createHarness();
  for (const socket of await connectMany(harness, "key-2", 4)) {
    fillQueues(socket, 6);
    socket.listener.onClose(1006);
  }
  const connected = await connectMany(harness, "key-2", 4, "other");
  for (const socket of connected) fillQueues(socket, 6);
  expect(connected.flatMap(({ closes }) => closes)).toEqual([]);
  expect(limitExceeded(harness)).toEqual([]);
});

test("the queues of a device are forgotten ten minutes after it disconnected", async () => {
  for (const [waitMs, remembered] of [
    [599_999, 1],
    [600_000, 0],
  ] as const) {
    const harness = createHarness();
    const { connectionId, socket } = await harness.connect("device-1");
    reportQueue(socket, "conv-1", 100);
    socket.listener.onClose(1006);
    await harness.clock.advance(waitMs);
    expect((await harness.open(connectionId)).frames).toHaveLength(remembered);
  }
});

test("a device that sends more than 2,000 frames at once is closed with 1013, and its later frames are ignored", async () => {
  const harness = createHarness();
  const { socket } = await harness.connect("device-1");
  for (let frame = 0; frame < 2_000; frame++) socket.say({ type: "stream_delta" });
  expect(socket.closes).toEqual([]);
  socket.say({ type: "stream_delta" });
  const reason = "The device sends more than 500 frames per second";
  expect(socket.closes).toEqual([{ code: 1013, reason }]);
  const { frames } = socket;
  socket.say({ type: "ping" });
  expect([socket.closes.length, frames.length]).toEqual([1, 0]);
  expect(limitExceeded(harness)).toEqual([reason]);
});

test("a device may send 500 frames in every second", async () => {
  const harness = createHarness();
  const { socket } = await harness.connect("device-1");
  for (let second = 0; second < 20; second++) {
    for (let frame = 0; frame < 500; frame++) socket.say({ type: "ping" });
    await harness.clock.advance(1_000);
  }
  expect([socket.closes.length, socket.terminated]).toEqual([0, false]);
});

test("a device that sends more than 24 MiB at once is closed with 1013", async () => {
  const harness = createHarness();
  const { socket } = await harness.connect("device-1");
  const frame = JSON.stringify({ type: "stream_delta", text: "x".repeat(11 * 1_048_576) });
  for (let count = 0; count < 2; count++) socket.say(frame);
  expect(socket.closes).toEqual([]);
  socket.say(frame);
  expect(socket.closes).toEqual([{ code: 1013, reason: "The device sends more than 4 MiB per second" }]);
});

test("a device that ignores its close is dropped a second later; one that closes leaves no timer", async () => {
  const harness = createHarness();
  const timersBefore = harness.clock.timerCount;
  const [ignoring, closing] = [await harness.connect("device-1"), await harness.connect("device-2")];
  for (const { socket } of [ignoring, closing]) reportQueue(socket, "conv-1", 1_001);
  closing.socket.listener.onClose(1008);
  expect(harness.clock.timerCount).toBe(timersBefore + 1);
  await harness.clock.advance(1_000);
  expect([ignoring.socket.terminated, closing.socket.terminated]).toEqual([true, false]);
  expect(harness.clock.timerCount).toBe(timersBefore);
});

test("a device that was closed for a limit can connect again, with empty queues", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  reportQueue(socket, "conv-1", 100);
  reportQueue(socket, "conv-2", 1_001);
  await harness.clock.advance(1_000);
  expect((await harness.open(connectionId)).frames).toEqual([]);
});

test("a device that exceeded a limit is refused with 429 at registration and upgrade, longer each time, and then forgiven", async () => {
  const harness = createHarness();
  let { connectionId, socket } = await harness.connect("device-1");
  for (const seconds of [1, 2, 4]) {
    reportQueue(socket, "conv-1", 1_001);
    socket.listener.onClose(1008);
    expect(await refusalOf(harness, connectionId)).toEqual(["429 device_throttled", String(seconds)]);
    await harness.clock.advance(seconds * 1_000 - 1);
    expect(await refusalOf(harness, connectionId)).toEqual(["429 device_throttled", "1"]);
    await harness.clock.advance(1);
    ({ connectionId, socket } = await harness.connect("device-1"));
  }
  await harness.clock.advance(600_000);
  socket = await harness.open(connectionId);
  reportQueue(socket, "conv-1", 1_001);
  expect(await refusalOf(harness, connectionId)).toEqual(["429 device_throttled", "1"]);
});

test("a device that sends too much once can reconnect immediately, and keeps its connection id, queue and running message", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  const sent = harness.send(connectionId);
  await harness.settle();
  socket.acknowledge();
  expect((await sent).status).toBe(200);
  reportQueue(socket, "conv-1", 100);
  flood(socket);
  socket.listener.onClose(1013);
  const again = await harness.open(connectionId);
  expect(again.frames).toMatchObject([{ type: "sync", runtime: { conversation_id: "conv-1" } }]);
  const full = await harness.send(connectionId, { conversationId: "conv-1", messages: [userMessage("m-2")] });
  expect([full.status, full.body["errorCode"]]).toEqual([429, "queue_full"]);
  const loop = { status: "PROCESSING_API_RESPONSE", active_run_ids: ["r-1"] };
  const runtime = { agent_id: "agent-1", conversation_id: "default" };
  const names = { client_message_ids_by_run_id: { "r-1": ["m-1"] } };
  again.say({ type: "update_loop_status", loop_status: { ...loop, ...names }, runtime });
  const { body } = await harness.call("GET", `/v1/environments/${connectionId}/messages/m-1`);
  expect(body["state"]).toBe("running");
});

test("a device that sends too much again and again is refused, longer each time", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  flood(socket);
  socket.listener.onClose(1013);
  for (const seconds of [1, 2, 4]) {
    const again = await harness.open(connectionId);
    flood(again);
    again.listener.onClose(1013);
    expect(await refusalOf(harness, connectionId)).toEqual(["429 device_throttled", String(seconds)]);
    await harness.clock.advance(seconds * 1_000);
  }
});

test("the other devices of a key are refused when four send too much repeatedly, and not when each did once", async () => {
  const harness = createHarness();
  const floodOnce = async (): Promise<void> => {
    for (let device = 1; device <= 4; device++) {
      const { socket } = await harness.connect(`flooding-${device}`);
      flood(socket);
      socket.listener.onClose(1013);
    }
  };
  await floodOnce();
  await harness.clock.advance(5_000);
  const { connectionId } = await harness.connect("device-1");
  await floodOnce();
  expect(await refusalOf(harness, connectionId)).toEqual(["429 device_throttled", "1"]);
});

test("a key whose devices change their names to flood is refused once they have used its share", async () => {
  const harness = createHarness();
  let admitted = 0;
  const refusal = await (async () => {
    for (let name = 0; name < 100; name++) {
      const { socket } = await harness.connect(`name-${name}`).catch((cause: Error) => ({ socket: cause }));
      if (socket instanceof Error) return [name, socket.message];
      admitted += flood(socket);
      socket.listener.onClose(1013);
    }
    return null;
  })();
  expect(refusal).toEqual([expect.any(Number), "refused: device_throttled"]);
  // The burst of the key, and those of the sockets that were closed for it.
  expect(admitted).toBeLessThan(30_000);
});

test("a device that is closed by the host for a limit is refused like one that is closed by the server", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  socket.listener.onClose(1009, "A frame is larger than 16777216 bytes");
  expect(limitExceeded(harness)).toEqual(["A frame is larger than 16777216 bytes"]);
  expect(await refusalOf(harness, connectionId)).toEqual(["429 device_throttled", "1"]);
});

test("a device that was disconnected for another reason may return immediately", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  socket.listener.onClose(1006);
  await harness.open(connectionId);
  expect(limitExceeded(harness)).toEqual([]);
});

test("pings of the WebSocket and binary frames count as frames", async () => {
  const harness = createHarness();
  const { socket } = await harness.connect("device-1");
  for (let ping = 0; ping < 2_000; ping++) expect(socket.listener.onOtherFrame(125)).toBe(true);
  expect(socket.listener.onOtherFrame(0)).toBe(false);
  expect(socket.closes).toMatchObject([{ code: 1013, reason: "The device sends more than 500 frames per second" }]);
});

test("a status that changes all the time is written once a second, and the last one is written on close", async () => {
  const harness = createHarness();
  const writes = countCalls(harness.store, "saveStatus");
  const { socket } = await harness.connect("device-1");
  const say = (mode: string): void =>
    socket.say({ type: "update_device_status", device_status: { current_permission_mode: mode } });
  for (let change = 0; change < 100; change++) say(change % 2 === 0 ? "standard" : "acceptEdits");
  await harness.settle();
  expect(writes()).toBe(1);
  await harness.clock.advance(1_000);
  expect(writes()).toBe(2);
  await harness.clock.advance(10_000);
  expect(writes()).toBe(2);
  say("standard");
  say("unrestricted");
  socket.listener.onClose(1006);
  await harness.settle();
  expect(writes()).toBe(4);
  expect((await harness.call("GET", "/v1/environments/device-1")).body["currentMode"]).toBe("unrestricted");
});

test("acknowledgements of ids that were never sent do not reach the store", async () => {
  const harness = createHarness();
  const settles = countCalls(harness.store, "settle");
  const { socket } = await harness.connect("device-1");
  for (let count = 0; count < 1_000; count++) socket.acknowledge({ accepted: true }, `msg-forged-${count}`);
  await harness.settle();
  expect(settles()).toBe(0);
});

test("a victim's send costs the same store calls while another device floods", async () => {
  const harness = createHarness();
  const calls = [countCalls(harness.store, "saveStatus"), countCalls(harness.store, "settle")];
  const victim = await harness.connect("victim");
  const offender = await harness.connect("offender");
  for (let frame = 0; frame < 20_000; frame++) {
    const mode = frame % 2 === 0 ? "standard" : "acceptEdits";
    if (frame % 3 === 0) offender.socket.acknowledge({ accepted: true }, `msg-forged-${frame}`);
    else offender.socket.say({ type: "update_device_status", device_status: { current_permission_mode: mode } });
  }
  const sent = harness.send(victim.connectionId);
  await harness.settle();
  victim.socket.acknowledge();
  expect((await sent).status).toBe(200);
  expect(offender.socket.closes).toMatchObject([{ code: 1013 }]);
  // The offender's first status and its last one on close, and the outcome of the victim's send.
  expect(calls.map((count) => count())).toEqual([2, 1]);
});

test("a device that sends invalid frames causes one event per broken rule", async () => {
  const harness = createHarness();
  const { socket } = await harness.connect("device-1");
  for (let frame = 0; frame < 100; frame++) {
    socket.say("not json");
    socket.say([]);
  }
  const rules = harness.events.flatMap((event) => (event.type === "frame_ignored" ? [event.rule] : []));
  expect(rules).toEqual(["must be JSON", "must be an object"]);
});

test("frames cause no individual events; their number is reported when the socket closes", async () => {
  const harness = createHarness();
  const { socket } = await harness.connect("device-1");
  for (let frame = 0; frame < 10; frame++) socket.say({ type: "stream_delta" });
  socket.listener.onClose(1005);
  expect(harness.events.map(({ type }) => type)).toEqual([
    "device_registered",
    "device_connected",
    "device_disconnected",
  ]);
  expect(harness.events.at(-1)).toMatchObject({ frames: 10 });
});

test("a device's first frame may be as large as any other, because a reconnecting device first reports its pending requests", async () => {
  const harness = createHarness();
  const { socket } = await harness.connect("device-1");
  expect(socket.listener.maxFrameBytes).toBe(16 * 1_048_576);
});
