/**
 * A device that reads two messages of a conversation at once runs both, but acknowledges the second one when the turn of the first is over.
 * So a message waits for the acknowledgement of the one before it, for a short while.
 */
import { describe, expect, test } from "vitest";
import type { FakeSocket } from "./support/fake-socket.ts";
import {
  type Answer,
  type CallOptions,
  createHarness,
  type Harness,
  userMessage,
  withApprove,
} from "./support/harness.ts";

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

function acknowledge(socket: FakeSocket, id: string, answer?: Record<string, unknown>): void {
  const input = socket.inputs().find(({ payload }) => JSON.stringify(payload).includes(`"${id}"`));
  socket.acknowledge(answer, input?.request_id);
}

describe("a message", () => {
  test("leaves when the one before it in its conversation was acknowledged or rejected, and not earlier", async () => {
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

  test("leaves after a second without that, however many wait, in the order of the requests", async () => {
    const { harness, connectionId, socket } = await setUp();
    const ids = Array.from({ length: 10 }, (_, index) => `m-${index}`);
    for (const id of ids) void sendTo(harness, connectionId, id);
    await harness.clock.advance(999);
    expect(written(socket)).toEqual(["m-0"]);
    await harness.clock.advance(1);
    expect(written(socket)).toEqual(ids);
  });

  test("has its result within ten seconds, the wait included", async () => {
    const { harness, connectionId } = await setUp();
    const sent = ["a", "b"].map((id) => sendTo(harness, connectionId, id));
    const results: number[] = [];
    for (const answer of sent) void answer.then(({ status }) => results.push(status));
    await harness.clock.advance(9_999);
    expect(results).toEqual([]);
    await harness.clock.advance(1);
    expect(results).toEqual([504, 504]);
  });

  test("waits for no other conversation, also behind one that waits", async () => {
    const { harness, connectionId, socket } = await setUp();
    for (const id of ["a", "b"]) void sendTo(harness, connectionId, id);
    for (const id of ["c", "d"]) void sendTo(harness, connectionId, id, `conversation of ${id}`);
    void harness.send(connectionId, { messages: [userMessage("e")], agentId: "agent-2" });
    await harness.settle();
    expect(written(socket)).toEqual(["a", "c", "d", "e"]);
  });

  test("does not wait for a decision, nor a decision for it", async () => {
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

  test("that repeats another one waits with it, and is written once", async () => {
    const { harness, connectionId, socket } = await setUp();
    const sent = ["a", "a"].map((id) => sendTo(harness, connectionId, id));
    await harness.settle();
    acknowledge(socket, "a");
    expect((await Promise.all(sent)).map(({ status }) => status)).toEqual([200, 200]);
    expect(written(socket)).toEqual(["a"]);
  });
});

describe("the wait of a message ends", () => {
  test("with the socket of the device: nothing was sent", async () => {
    const { harness, connectionId, socket } = await setUp();
    const sent = ["a", "b", "c"].map((id) => sendTo(harness, connectionId, id));
    await harness.settle();
    socket.listener.onClose(1006);
    const answers = (await Promise.all(sent)).map(({ body }) => body["errorCode"]);
    expect(answers).toEqual(["delivery_unknown", "device_offline", "device_offline"]);
    expect(written(socket)).toEqual(["a"]);
  });

  test("when its caller leaves: it is not sent, and the next one is", async () => {
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

  test("when the server closes: nothing was sent, and no timer is left", async () => {
    const { harness, connectionId, socket } = await setUp();
    const sent = ["a", "b"].map((id) => sendTo(harness, connectionId, id));
    await harness.settle();
    await harness.server.close();
    const answers = (await Promise.all(sent)).map(({ body }) => body["errorCode"]);
    expect(answers).toEqual(["delivery_unknown", "shutting_down"]);
    expect([written(socket), harness.clock.timerCount]).toEqual([["a"], 0]);
  });
});
