import type { ApprovalMessage } from "@letta-environments/schema";
import { expect, test } from "vitest";
import { maxMessageWaitMs } from "../src/limits.ts";
import { createHarness, type Harness, userMessage, withApprove } from "./support/harness.ts";
import type { FakeSocket } from "./support/fake-socket.ts";

const full = { status: 429, headers: { "x-should-retry": "false" }, body: { errorCode: "queue_full" } };
const runtime = { agent_id: "agent-1", conversation_id: "default" };

function reportQueue(socket: FakeSocket, length: number, conversation: typeof runtime = runtime): void {
  const queue = Array.from({ length }, (_, index) => ({ id: `q-${index}`, client_message_id: `queued-${index}` }));
  socket.say({ type: "update_queue", runtime: conversation, queue, removed: [] });
}

function batch(name: string, size: number): ReturnType<typeof userMessage>[] {
  return Array.from({ length: size }, (_, index) => userMessage(`${name}-${index}`));
}

async function sendNow(
  { send, settle }: Harness,
  connectionId: string,
  socket: FakeSocket,
  id: string,
  disposition: string,
): Promise<number> {
  const inputs = socket.inputs().length;
  const sent = send(connectionId, { messages: [userMessage(id)] });
  await settle();
  if (socket.inputs().length > inputs) socket.acknowledge({ accepted: true, disposition });
  return (await sent).status;
}

test("a conversation with 100 waiting messages is full, because the device would drop its oldest", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  reportQueue(socket, 100);
  expect(await harness.send(connectionId)).toMatchObject(full);
  expect(socket.inputs()).toEqual([]);
  reportQueue(socket, 99);
  expect(await sendNow(harness, connectionId, socket, "m-1", "queued")).toBe(200);
  expect(await harness.send(connectionId, { messages: [userMessage("m-2")] })).toMatchObject(full);
});

test("a message that a full queue refuses is not stored, so its id can be sent once there is room", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  reportQueue(socket, 100);
  expect(await sendNow(harness, connectionId, socket, "m-1", "queued")).toBe(429);
  reportQueue(socket, 0);
  expect(await sendNow(harness, connectionId, socket, "m-1", "started")).toBe(200);
});

test("the queue of one conversation does not limit the others", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  reportQueue(socket, 100, { agent_id: "agent-1", conversation_id: "conv-2" });
  reportQueue(socket, 100, { agent_id: "agent-2", conversation_id: "default" });
  expect(await sendNow(harness, connectionId, socket, "m-1", "started")).toBe(200);
});

test("messages that were acknowledged as queued count until the device reports its queue again", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  for (let index = 0; index < 100; index++) {
    expect(await sendNow(harness, connectionId, socket, `m-${index}`, "queued")).toBe(200);
  }
  expect(await sendNow(harness, connectionId, socket, "one-more", "queued")).toBe(429);
  reportQueue(socket, 3);
  expect(await sendNow(harness, connectionId, socket, "one-more", "queued")).toBe(200);
});

test("each message of a batch counts, also before it is acknowledged", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  const sent = harness.send(connectionId, { messages: batch("a", 60) });
  await harness.settle();
  expect(await harness.send(connectionId, { messages: batch("b", 41) })).toMatchObject(full);
  const fits = harness.send(connectionId, { messages: batch("c", 40) });
  await harness.clock.advance(maxMessageWaitMs);
  for (const input of socket.inputs()) socket.acknowledge({ accepted: true, disposition: "started" }, input.request_id);
  expect([(await sent).status, (await fits).status]).toEqual([200, 200]);
});

test("a body with more messages in a row than a conversation holds is 400, because waiting would not help", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  const tooMany = {
    status: 400,
    body: {
      errorCode: "invalid_request",
      errors: [{ member: "messages", rule: "must have at most 100 user messages in a row" }],
    },
  };
  expect(await harness.send(connectionId, { messages: batch("m", 101) })).toMatchObject(tooMany);
  const decision: ApprovalMessage = { type: "approval", approvals: [{ approve: true, tool_call_id: "call-1" }] };
  const mixed = [userMessage("first"), decision, ...batch("m", 101)];
  expect(await harness.send(connectionId, { messages: mixed }, { principal: withApprove })).toMatchObject(tooMany);
  expect(socket.inputs()).toEqual([]);
});

test("a body with as many messages as a conversation holds is sent to an idle device", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  const sent = harness.send(connectionId, { messages: batch("m", 100) });
  await harness.settle();
  socket.acknowledge({ accepted: true, disposition: "started" });
  expect((await sent).status).toBe(200);
});

test("a device with 64 unacknowledged sends accepts no other, in any conversation", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  const sends = Array.from({ length: 64 }, (_, index) =>
    harness.send(connectionId, { conversationId: `conv-${index}` }),
  );
  await harness.settle();
  expect(await harness.send(connectionId, { conversationId: "conv-64" })).toMatchObject(full);
  for (const input of socket.inputs()) socket.acknowledge({ accepted: true }, input.request_id);
  const answers = await Promise.all(sends);
  expect(new Set(answers.map((answer) => answer.status))).toEqual(new Set([200]));
  expect(await sendNow(harness, connectionId, socket, "m-2", "started")).toBe(200);
});

test("the queue of a device that reconnects is remembered, and the device is asked to report it", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  reportQueue(socket, 100);
  socket.listener.onClose(1006);
  const second = await harness.open(connectionId);
  expect(second.frames).toEqual([
    { type: "sync", request_id: expect.stringMatching(/^sync-/), runtime, recover_approvals: false },
  ]);
  expect(await harness.send(connectionId)).toMatchObject(full);
  reportQueue(second, 0);
  expect(await sendNow(harness, connectionId, second, "m-1", "started")).toBe(200);
});

test("another process of the device starts with an empty queue", async () => {
  const harness = createHarness();
  const first = await harness.connect("device-1");
  reportQueue(first.socket, 100);
  const { connectionId, socket } = await harness.connect("device-1");
  expect(socket.frames).toEqual([]);
  expect(await sendNow(harness, connectionId, socket, "m-1", "started")).toBe(200);
});

/** Queues what is sent, and repeats the whole queue twice for each message, as 0.32.18 does. */
function queueEverything(socket: FakeSocket): void {
  const queues = new Map<string, object[]>();
  socket.onFrame = (frame) => {
    if (frame["type"] !== "input") return;
    const { request_id: requestId, runtime, payload } = socket.inputs().at(-1) ?? {};
    const key = JSON.stringify(runtime);
    const fresh = (payload?.messages ?? []).map((message, index) => ({
      id: `q-${index}`,
      kind: "message",
      ...message,
    }));
    const queue = [...(queues.get(key) ?? []), ...fresh];
    queues.set(key, queue);
    for (let repeat = 0; repeat < 2; repeat++) socket.say({ type: "update_queue", queue, removed: [], runtime });
    socket.acknowledge({ accepted: true, disposition: "queued" }, requestId);
  };
}

test.each([
  [100, 100],
  [1_000, 80],
  [12_000, 21],
  [100_000, 2],
  [900_000, 1],
])(
  "when messages with %i characters wait, %i are taken, and the device stays far below the limits of its socket while it repeats its queue",
  async (length, expected) => {
    const harness = createHarness();
    const { connectionId, socket } = await harness.connect("device-1");
    queueEverything(socket);
    const answers = await Promise.all(
      Array.from({ length: 100 }, (_, index) =>
        harness.send(connectionId, { messages: [userMessage(`m-${index}`, "x".repeat(length))] }),
      ),
    );
    const taken = answers.filter(({ status }) => status === 200).length;
    expect(taken).toBeGreaterThanOrEqual(expected);
    expect(taken).toBeLessThanOrEqual(expected * 1.2);
    for (const { status, body } of answers) if (status !== 200) expect(body["errorCode"]).toBe("queue_full");
    expect(socket.closes).toEqual([]);
  },
);

test("when one conversation has filled the queues of a device, another one still gets its messages, and can queue only a few", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  queueEverything(socket);
  const fill = async (conversationId: string): Promise<number> => {
    for (let taken = 0; taken < 100; taken++) {
      const messages = [userMessage(`${conversationId}-${taken}`, "x".repeat(2_000))];
      if ((await harness.send(connectionId, { conversationId, messages })).status !== 200) return taken;
    }
    return 100;
  };
  const [first, second] = [await fill("conv-1"), await fill("conv-2")];
  expect(first).toBeGreaterThan(50);
  expect(second).toBeGreaterThanOrEqual(1);
  expect(second).toBeLessThan(20);
  expect(socket.closes).toEqual([]);
});

test("a message that is too long for the queue is taken again when the device reports that there is room", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  const content = "x".repeat(200_000);
  const item = { id: "q-1", client_message_id: "queued-1", content };
  socket.say({ type: "update_queue", runtime, queue: [item], removed: [] });
  const long = { messages: [userMessage("m-1", content)] };
  const detail = "The messages waiting on the device have too many characters in total. Nothing was sent.";
  expect(await harness.send(connectionId, long)).toMatchObject({ ...full, body: { ...full.body, detail } });
  reportQueue(socket, 0);
  const sent = harness.send(connectionId, long);
  await harness.settle();
  socket.acknowledge();
  expect((await sent).status).toBe(200);
});

test("a message that makes the queue report too long to parse waits alone, so that the report of its removal is short and ends it", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  queueEverything(socket);
  const stateOf = async (): Promise<unknown> =>
    (await harness.call("GET", `/v1/environments/${connectionId}/messages/long`)).body["state"];
  await harness.send(connectionId, { messages: [userMessage("long", "x".repeat(600_000))] });
  expect(await harness.send(connectionId, { messages: [userMessage("m-2")] })).toMatchObject(full);
  expect(await stateOf()).toBe("accepted");
  const removed = [{ client_message_id: "long", disposition: "cancelled" }];
  socket.say({ type: "update_queue", runtime, queue: [], removed });
  expect(await stateOf()).toBe("cancelled");
});
