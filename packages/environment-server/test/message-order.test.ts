/**
 * A device that reads two messages of a conversation at once runs both, but acknowledges the second one when the turn of the first is over.
 * So a message waits for the acknowledgement of the one before it, for a short while.
 */
import { describe, expect, test } from "vitest";
import { maxMessageWaitMs, maxUnacknowledgedSends } from "../src/limits.ts";
import type { FakeSocket } from "./support/fake-socket.ts";
import {
  type Answer,
  type CallOptions,
  anyone,
  createHarness,
  type Harness,
  userMessage,
  withApprove,
} from "./support/harness.ts";

const runtime = { agent_id: "agent-1", conversation_id: "default" };

async function setUp() {
  const harness = createHarness();
  const device = await harness.connect("device-1");
  return { harness, ...device };
}

function sendTo(
  { send }: Harness,
  connectionId: string,
  id: string,
  conversationId: string = "default",
  options: CallOptions = {},
): Promise<Answer> {
  return send(connectionId, { messages: [userMessage(id)], conversationId }, options);
}

/** The ids of the messages that were written, in this order. */
function written(socket: FakeSocket): unknown[] {
  return socket
    .inputs()
    .flatMap(({ payload }) =>
      "messages" in payload ? payload.messages.map((message) => message.client_message_id) : ["a decision"],
    );
}

function stop({ call }: Harness, connectionId: string, conversationId: string): void {
  const principal = { ...anyone, scopes: new Set([...anyone.scopes, "control" as const]) };
  const body = { agentId: "agent-1", conversationId };
  void call("POST", `/v1/environments/${connectionId}/stop`, { principal, body });
}

function acknowledge(socket: FakeSocket, id: string, answer?: Record<string, unknown>): void {
  const input = socket.inputs().find(({ payload }) => JSON.stringify(payload).includes(`"${id}"`));
  socket.acknowledge(answer, input?.request_id);
}

describe("the order of messages", () => {
  test("a message is sent when the previous one in its conversation was acknowledged or rejected, and not earlier", async () => {
    const { harness, connectionId, socket } = await setUp();
    const sent = ["a", "b", "c"].map((id) => sendTo(harness, connectionId, id));
    await harness.clock.advance(500);
    expect(written(socket)).toEqual(["a"]);
    acknowledge(socket, "a");
    await harness.settle();
    expect(written(socket)).toEqual(["a", "b"]);
    acknowledge(socket, "b", { accepted: false, error: "full" });
    await harness.settle();
    expect(written(socket)).toEqual(["a", "b", "c"]);
    acknowledge(socket, "c");
    expect((await Promise.all(sent)).map(({ status }) => status)).toEqual([200, 409, 200]);
  });

  test("messages are sent after a second without an acknowledgement, however many wait, in request order", async () => {
    const { harness, connectionId, socket } = await setUp();
    const ids = Array.from({ length: 10 }, (_, index) => `m-${index}`);
    for (const id of ids) void sendTo(harness, connectionId, id);
    await harness.clock.advance(999);
    expect(written(socket)).toEqual(["m-0"]);
    await harness.clock.advance(1);
    expect(written(socket)).toEqual(ids);
  });

  test("a message waits up to a second for the one before it, however long that one has waited itself", async () => {
    const { harness, connectionId, socket } = await setUp();
    for (const id of ["a", "b", "c"]) void sendTo(harness, connectionId, id);
    await harness.clock.advance(maxMessageWaitMs - 1);
    acknowledge(socket, "a");
    await harness.clock.advance(maxMessageWaitMs - 1);
    expect(written(socket)).toEqual(["a", "b"]);
    await harness.clock.advance(1);
    expect(written(socket)).toEqual(["a", "b", "c"]);
  });

  test("a message has its result within ten seconds, including the wait", async () => {
    const { harness, connectionId } = await setUp();
    const sent = ["a", "b"].map((id) => sendTo(harness, connectionId, id));
    const results: number[] = [];
    for (const answer of sent) void answer.then(({ status }) => results.push(status));
    await harness.clock.advance(9_999);
    expect(results).toEqual([]);
    await harness.clock.advance(1);
    expect(results).toEqual([504, 504]);
  });

  test("a message does not wait for another conversation, even behind a waiting message", async () => {
    const { harness, connectionId, socket } = await setUp();
    for (const id of ["a", "b"]) void sendTo(harness, connectionId, id);
    for (const id of ["c", "d"]) void sendTo(harness, connectionId, id, `conversation of ${id}`);
    void harness.send(connectionId, { messages: [userMessage("e")], agentId: "agent-2" });
    await harness.settle();
    expect(written(socket)).toEqual(["a", "c", "d", "e"]);
  });

  test("a message does not wait for a decision, nor a decision for a message", async () => {
    const { harness, connectionId, socket } = await setUp();
    socket.ask("call-1");
    const decide = (toolCallId: string): void => {
      const messages = [{ type: "approval" as const, approvals: [{ approve: true, tool_call_id: toolCallId }] }];
      void harness.send(connectionId, { messages }, { principal: withApprove });
    };
    decide("call-1");
    for (const id of ["a", "b"]) void sendTo(harness, connectionId, id);
    await harness.settle();
    expect(written(socket)).toEqual(["a decision", "a"]);
    socket.ask("call-2");
    decide("call-2");
    await harness.settle();
    expect(written(socket)).toEqual(["a decision", "a", "a decision"]);
  });

  test("a message does not wait for one that the device lists before or while it waits", async () => {
    const { harness, connectionId, socket } = await setUp();
    const list = (id: string): void => {
      socket.say({
        type: "update_loop_status",
        runtime,
        loop_status: { client_message_ids_by_run_id: { [id]: [id] } },
      });
    };
    const first = sendTo(harness, connectionId, "first");
    await harness.settle();
    // Of a device that acknowledges, a report is no acknowledgement.
    acknowledge(socket, "first");
    await first;
    for (const id of ["a", "b"]) void sendTo(harness, connectionId, id);
    await harness.settle();
    expect(written(socket)).toEqual(["first", "a"]);
    list("a");
    await harness.settle();
    expect(written(socket)).toEqual(["first", "a", "b"]);
    list("b");
    void sendTo(harness, connectionId, "c");
    await harness.settle();
    expect(written(socket)).toEqual(["first", "a", "b", "c"]);
  });

  test("a message does not wait while earlier ones are in the queue of the device, which queues all that follow immediately", async () => {
    const { harness, connectionId, socket } = await setUp();
    for (const id of ["a", "b", "c", "d"]) void sendTo(harness, connectionId, id);
    await harness.settle();
    acknowledge(socket, "a", { accepted: true, disposition: "started" });
    await harness.settle();
    expect(written(socket)).toEqual(["a", "b"]);
    acknowledge(socket, "b", { accepted: true, disposition: "queued" });
    await harness.settle();
    expect(written(socket)).toEqual(["a", "b", "c", "d"]);
  });

  test("a message is sent before a stop of its conversation that was requested after it", async () => {
    const { harness, connectionId, socket } = await setUp();
    for (const id of ["a", "b", "c"]) void sendTo(harness, connectionId, id);
    for (const id of ["d", "e"]) void sendTo(harness, connectionId, id, "conv-1");
    await harness.settle();
    stop(harness, connectionId, "default");
    await harness.settle();
    expect(written(socket)).toEqual(["a", "d", "b", "c"]);
    expect(socket.frames.at(-1)).toMatchObject({ type: "abort_message" });
  });

  test("a message is sent before a stop that arrives immediately after it", async () => {
    const { harness, connectionId, socket } = await setUp();
    for (const id of ["a", "b", "c"]) void sendTo(harness, connectionId, id);
    stop(harness, connectionId, "default");
    await harness.settle();
    expect(written(socket)).toEqual(["a", "b", "c"]);
    expect(socket.frames.at(-1)).toMatchObject({ type: "abort_message" });
  });

  test("a message delays a stop by at most a second, even if the device is slow to answer whether its key may use the conversation", async () => {
    const { harness, connectionId, socket } = await setUp();
    const principal = { ...anyone, agentIds: ["agent-1"] };
    void sendTo(harness, connectionId, "a", "conv-1", { principal });
    await harness.settle();
    stop(harness, connectionId, "conv-1");
    await harness.clock.advance(maxMessageWaitMs - 1);
    const stops = (): number => socket.frames.filter(({ type }) => type === "abort_message").length;
    expect(stops()).toBe(0);
    await harness.clock.advance(1);
    expect([stops(), written(socket)]).toEqual([1, []]);
  });

  test("a message gets its response immediately if it repeats one that has its result, although others wait", async () => {
    const { harness, connectionId, socket } = await setUp();
    const first = sendTo(harness, connectionId, "a");
    await harness.settle();
    acknowledge(socket, "a");
    await first;
    for (const id of ["b", "c"]) void sendTo(harness, connectionId, id);
    await harness.settle();
    const headers = { "idempotency-replayed": "true" };
    expect(await sendTo(harness, connectionId, "a")).toMatchObject({ status: 200, headers });
    expect(written(socket)).toEqual(["a", "b"]);
  });

  test("a message is refused immediately if there is no room behind those that wait", async () => {
    const { harness, connectionId, socket } = await setUp();
    const ids = Array.from({ length: maxUnacknowledgedSends }, (_, index) => `m-${index}`);
    for (const id of ids) void sendTo(harness, connectionId, id);
    const full = { status: 429, body: { errorCode: "queue_full" } };
    expect(await sendTo(harness, connectionId, "one too many")).toMatchObject(full);
    await harness.clock.advance(maxMessageWaitMs);
    expect(written(socket)).toEqual(ids);
  });

  test("a message is refused immediately if it and the messages that wait would fill the queue of the device", async () => {
    const { harness, connectionId, socket } = await setUp();
    const batch = (name: string) => Array.from({ length: 50 }, (_, index) => userMessage(`${name}-${index}`));
    for (const messages of [[userMessage("a")], batch("b")]) void harness.send(connectionId, { messages });
    const full = { status: 429, body: { errorCode: "queue_full" } };
    expect(await harness.send(connectionId, { messages: batch("c") })).toMatchObject(full);
    await harness.clock.advance(maxMessageWaitMs);
    expect(written(socket)).toHaveLength(51);
  });

  test("a message that repeats another one waits with it, and is written once", async () => {
    const { harness, connectionId, socket } = await setUp();
    const sent = ["a", "a"].map((id) => sendTo(harness, connectionId, id));
    await harness.settle();
    acknowledge(socket, "a");
    expect((await Promise.all(sent)).map(({ status }) => status)).toEqual([200, 200]);
    expect(written(socket)).toEqual(["a"]);
  });
});

describe("the end of a wait", () => {
  test("the wait of a message ends with the socket of the device, and nothing was sent", async () => {
    const { harness, connectionId, socket } = await setUp();
    const sent = ["a", "b", "c"].map((id) => sendTo(harness, connectionId, id));
    await harness.settle();
    socket.listener.onClose(1006);
    const answers = (await Promise.all(sent)).map(({ body }) => body["errorCode"]);
    expect(answers).toEqual(["delivery_unknown", "device_offline", "device_offline"]);
    expect(written(socket)).toEqual(["a"]);
  });

  test("the wait of a message ends when its caller disconnects: it is not sent, and the next one is", async () => {
    const { harness, connectionId, socket } = await setUp();
    void sendTo(harness, connectionId, "a");
    const caller = new AbortController();
    const left = sendTo(harness, connectionId, "b", "default", { signal: caller.signal });
    void sendTo(harness, connectionId, "c");
    await harness.settle();
    caller.abort(new Error("the caller left"));
    await expect(left).rejects.toThrow("the caller left");
    acknowledge(socket, "a");
    await harness.settle();
    expect(written(socket)).toEqual(["a", "c"]);
  });

  test("the wait of a message ends when the server closes: nothing was sent, and no timer is left", async () => {
    const { harness, connectionId, socket } = await setUp();
    const sent = ["a", "b"].map((id) => sendTo(harness, connectionId, id));
    await harness.settle();
    await harness.server.close();
    const answers = (await Promise.all(sent)).map(({ body }) => body["errorCode"]);
    expect(answers).toEqual(["delivery_unknown", "shutting_down"]);
    expect([written(socket), harness.clock.timerCount]).toEqual([["a"], 0]);
  });
});
