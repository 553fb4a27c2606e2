import { openSqlite } from "@letta-environments/platform/node";
import { createVirtualClock } from "@letta-environments/testkit";
import { describe, expect, test } from "vitest";
import { createSqliteEnvironmentStore } from "../src/sqlite.ts";
import { maxMessageWaitMs, maxWaitingMessages } from "../src/limits.ts";
import { type Answer, anyone, createHarness, userMessage, withApprove } from "./support/harness.ts";

const hourMs = 3_600_000;
const replayed = { "idempotency-replayed": "true" };

describe("repeats of an id", () => {
  test("a repeated id receives its first result without a second frame and with Idempotency-Replayed", async () => {
    const { connect, send, settle } = createHarness();
    const { connectionId, socket } = await connect("device-1");
    const sent = send(connectionId);
    await settle();
    socket.acknowledge();
    const first = await sent;
    const second = await send(connectionId);
    expect(first.headers).not.toHaveProperty("idempotency-replayed");
    expect(second).toEqual({ ...first, headers: { ...first.headers, ...replayed } });
    expect(socket.inputs()).toHaveLength(1);
  });

  test("a repeated id receives its first result even when the device is offline, has another connectionId, or both", async () => {
    const { connect, send, settle } = createHarness();
    const { connectionId, socket } = await connect("device-1");
    const sent = send(connectionId);
    await settle();
    socket.acknowledge();
    await sent;
    socket.listener.onClose(1006);
    expect(await send(connectionId)).toMatchObject({ status: 200, headers: replayed });
    const second = await connect("device-1");
    expect(await send(connectionId)).toMatchObject({ status: 200, headers: replayed });
    expect(await send(second.connectionId)).toMatchObject({ status: 200, headers: replayed });
    second.socket.listener.onClose(1006);
    expect(await send(second.connectionId)).toMatchObject({ status: 200, headers: replayed });
    expect(second.socket.frames).toEqual([]);
  });

  test("a repeated id receives its first result even when that was a rejection or an unknown delivery", async () => {
    const { connect, send, settle, clock } = createHarness();
    const { connectionId, socket } = await connect("device-1");
    const rejected = send(connectionId, { messages: [userMessage("m-1")] });
    await settle();
    socket.acknowledge({ accepted: false, error: "full" });
    expect((await rejected).status).toBe(409);
    const unknown = send(connectionId, { messages: [userMessage("m-2")] });
    await clock.advance(10_000);
    expect((await unknown).status).toBe(504);
    const again = [
      await send(connectionId, { messages: [userMessage("m-1")] }),
      await send(connectionId, { messages: [userMessage("m-2")] }),
    ];
    expect(again).toMatchObject([
      { status: 409, headers: replayed, body: { detail: "full" } },
      { status: 504, headers: replayed, body: { errorCode: "delivery_unknown" } },
    ]);
    expect(socket.inputs()).toHaveLength(2);
  });

  test("a repeated id waits for the same outcome while the first request is in flight", async () => {
    const { connect, send, settle } = createHarness();
    const { connectionId, socket } = await connect("device-1");
    const sends = [send(connectionId), send(connectionId), send(connectionId)];
    await settle();
    expect(socket.inputs()).toHaveLength(1);
    socket.acknowledge();
    const answers = await Promise.all(sends);
    expect(answers.map((answer) => answer.status)).toEqual([200, 200, 200]);
    expect(answers.map((answer) => answer.headers["idempotency-replayed"])).toEqual([undefined, "true", "true"]);
  });

  test("a repeated id receives its first result regardless of the order of members, the spelling of numbers and escapes in the body", async () => {
    const { connect, server, send, settle } = createHarness();
    const { connectionId, socket } = await connect("device-1");
    const message = { ...userMessage("m-1", "\u00e9"), extra: { b: 1, a: [2] } };
    const sent = send(connectionId, { messages: [message] });
    await settle();
    socket.acknowledge();
    await sent;
    const text =
      '{"agentId":"agent-1","messages":[{"extra":{"a":[2.0],"b":1e0},"role":"user","content":"\\u00e9","client_message_id":"m-1"}]}';
    const answer = await server.handle(
      {
        method: "POST",
        path: `/v1/environments/${connectionId}/messages`,
        query: "",
        headers: { "content-type": "application/json" },
        body: new TextEncoder().encode(text),
      },
      anyone,
      { authority: null },
    );
    expect(answer).toMatchObject({ status: 200, headers: replayed });
  });

  test("a repeated id receives its first result for 24 hours, after which the id is new", async () => {
    const { connect, send, settle, clock } = createHarness();
    const { connectionId, socket } = await connect("device-1");
    const sent = send(connectionId);
    await settle();
    socket.acknowledge();
    await sent;
    socket.listener.onClose(1006);
    await clock.advance(24 * hourMs - 1);
    expect((await send(connectionId)).status).toBe(200);
    await clock.advance(1);
    expect(await send(connectionId)).toMatchObject({ status: 409, body: { errorCode: "device_offline" } });
  });
});

test("a late acknowledgement replaces the unknown outcome", async () => {
  for (const late of ["on the same socket", "after the socket was replaced"] as const) {
    const { connect, open, send, settle, clock, events } = createHarness();
    const { connectionId, socket } = await connect("device-1");
    const sent = send(connectionId);
    await settle();
    if (late === "on the same socket") await clock.advance(10_000);
    else await open(connectionId);
    expect((await sent).status).toBe(504);
    socket.acknowledge({ accepted: true, disposition: "queued" });
    await settle();
    expect(await send(connectionId)).toMatchObject({ status: 200, headers: replayed, body: { disposition: "queued" } });
    expect(events).toContainEqual(expect.objectContaining({ type: "message_acknowledged", late: true }));
  }
});

test("an acknowledgement from another device does not count as a late one", async () => {
  const { connect, send, settle, clock } = createHarness();
  const { connectionId, socket } = await connect("device-1");
  const other = await connect("device-2");
  const sent = send(connectionId);
  await clock.advance(10_000);
  expect((await sent).status).toBe(504);
  other.socket.acknowledge({ accepted: false }, String(socket.inputs()[0]?.request_id));
  socket.acknowledge({ accepted: true, disposition: "queued" });
  await settle();
  expect(await send(connectionId)).toMatchObject({ status: 200, headers: replayed, body: { disposition: "queued" } });
});

test("an id that a crashed process had reserved is 504 and is never sent again", async () => {
  const store = createSqliteEnvironmentStore(openSqlite(":memory:"));
  const clock = createVirtualClock();
  const before = createHarness({ store, clock });
  const { connectionId, socket } = await before.connect("device-1");
  void before.send(connectionId);
  await before.settle();
  expect(socket.inputs()).toHaveLength(1);
  const after = createHarness({ store, clock });
  const reconnected = await after.open(connectionId);
  for (let repeat = 0; repeat < 2; repeat++) {
    expect(await after.send(connectionId)).toMatchObject({
      status: 504,
      headers: { ...replayed, "x-should-retry": "false" },
      body: { errorCode: "delivery_unknown" },
    });
  }
  expect(reconnected.frames).toEqual([]);
});

describe("ids and their bodies", () => {
  test("another body under the same id is 422 naming the id, online or not", async () => {
    const { connect, send, settle } = createHarness();
    const { connectionId, socket } = await connect("device-1");
    const sent = send(connectionId, { messages: [userMessage("m-1", "one")] });
    await settle();
    socket.acknowledge();
    await sent;
    const conflict = {
      status: 422,
      headers: { "x-should-retry": "false" },
      body: { errorCode: "message_id_reused", errors: [{ member: "messages[0].client_message_id" }] },
    };
    expect(await send(connectionId, { messages: [userMessage("m-1", "two")] })).toMatchObject(conflict);
    socket.listener.onClose(1006);
    expect(await send(connectionId, { messages: [userMessage("m-1", "two")] })).toMatchObject(conflict);
    expect(socket.inputs()).toHaveLength(1);
  });

  test("a batch with some known ids, a part of a batch, and a reordered batch are 422 naming the known ids", async () => {
    const { connect, send, settle } = createHarness();
    const { connectionId, socket } = await connect("device-1");
    const [one, two, three] = [userMessage("m-1"), userMessage("m-2"), userMessage("m-3")];
    const sent = send(connectionId, { messages: [one, two] });
    await settle();
    socket.acknowledge();
    await sent;
    const named = async (messages: (typeof one)[]): Promise<unknown> => {
      const { body, status } = await send(connectionId, { messages });
      return status === 422 && Array.isArray(body["errors"]) ? body["errors"].map((issue) => issue.member) : status;
    };
    expect(await named([three, two])).toEqual(["messages[1].client_message_id"]);
    expect(await named([one])).toEqual(["messages[0].client_message_id"]);
    expect(await named([two, one])).toEqual(["messages[0].client_message_id", "messages[1].client_message_id"]);
    expect(await named([one, two])).toBe(200);
    expect(socket.inputs()).toHaveLength(1);
  });

  test("the same id for another agent, conversation or device is a different message", async () => {
    const { connect, send, settle } = createHarness();
    const first = await connect("device-1");
    const second = await connect("device-2");
    const acknowledged = async (sent: ReturnType<typeof send>, { socket }: typeof first): Promise<unknown> => {
      await settle();
      socket.acknowledge();
      return (await sent).headers["idempotency-replayed"];
    };
    expect(await acknowledged(send(first.connectionId), first)).toBeUndefined();
    expect(await acknowledged(send(first.connectionId, { agentId: "agent-2" }), first)).toBeUndefined();
    expect(await acknowledged(send(first.connectionId, { conversationId: "conv-1" }), first)).toBeUndefined();
    expect(await acknowledged(send(second.connectionId), second)).toBeUndefined();
    expect([first.socket.inputs().length, second.socket.inputs().length]).toEqual([3, 1]);
  });
});

describe("the Idempotency-Key of a send", () => {
  const idempotencyKey = "k";
  const conflict = { status: 422, body: { errorCode: "message_id_reused", errors: [{ member: "idempotency-key" }] } };

  test("an Idempotency-Key belongs to one body, however many frames that becomes", async () => {
    const { connect, call, settle } = createHarness();
    const { connectionId, socket } = await connect("device-1");
    socket.ask("call-1");
    const decision = { type: "approval", approvals: [{ approve: true, tool_call_id: "call-1" }] };
    const send = (messages: readonly unknown[]): Promise<Answer> =>
      call("POST", `/v1/environments/${connectionId}/messages`, {
        body: { agentId: "agent-1", messages },
        principal: withApprove,
        idempotencyKey,
      });
    const accept = async (): Promise<void> => {
      await settle();
      socket.acknowledge();
    };
    const sent = send([userMessage("m-1"), decision]);
    await accept();
    await accept();
    expect(await sent).toMatchObject({ status: 200 });
    expect(await send([userMessage("m-1"), decision])).toMatchObject({ status: 200, headers: replayed });
    expect(await send([userMessage("m-1")])).toMatchObject(conflict);
    expect(await send([userMessage("m-1"), decision, userMessage("m-2")])).toMatchObject(conflict);
    expect(await send([userMessage("m-2")])).toMatchObject(conflict);
    expect(socket.inputs()).toHaveLength(2);
  });

  test("an Idempotency-Key beside a known id changes nothing, and is free again when nothing was sent", async () => {
    const { connect, send, settle } = createHarness();
    const { connectionId, socket } = await connect("device-1");
    const sent = send(connectionId);
    await settle();
    socket.acknowledge();
    await sent;
    expect(await send(connectionId, {}, { idempotencyKey })).toMatchObject({ status: 200, headers: replayed });
    socket.listener.onClose(1006);
    const other = { messages: [userMessage("m-2")] };
    expect(await send(connectionId, other, { idempotencyKey })).toMatchObject({ status: 409 });
    const again = await connect("device-1");
    const third = send(again.connectionId, { messages: [userMessage("m-3")] }, { idempotencyKey });
    await settle();
    again.socket.acknowledge();
    expect(await third).toMatchObject({ status: 200 });
  });

  test("an Idempotency-Key does not count towards the device's queue", async () => {
    const { connect, send, clock } = createHarness();
    const { connectionId, socket } = await connect("device-1");
    const many = Array.from({ length: maxWaitingMessages }, (_, index) => userMessage(`m-${index}`));
    const sent = [many.slice(1), many.slice(0, 1)].map((messages, index) =>
      send(connectionId, { messages }, { idempotencyKey: `k-${index}` }),
    );
    await clock.advance(maxMessageWaitMs);
    for (const { request_id: requestId } of socket.inputs()) socket.acknowledge(undefined, requestId);
    expect((await Promise.all(sent)).map(({ status }) => status)).toEqual([200, 200]);
  });

  test.each([
    ["empty", ""],
    ["longer than 256 characters", "k".repeat(257)],
    ["sent twice", "k, k"],
    ["not ASCII", "\u00fc"],
  ])("an Idempotency-Key that is %s is 400 naming the header", async (_what, invalid) => {
    const { connect, send } = createHarness();
    const { connectionId, socket } = await connect("device-1");
    expect(await send(connectionId, {}, { idempotencyKey: invalid })).toMatchObject({
      status: 400,
      body: { errorCode: "invalid_request", errors: [{ member: "idempotency-key" }] },
    });
    expect(socket.frames).toEqual([]);
  });
});
