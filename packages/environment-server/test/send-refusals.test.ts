import { describe, expect, test } from "vitest";
import { anyone, createHarness, userMessage, withApprove } from "./support/harness.ts";

describe("refused sends, which are neither sent nor stored", () => {
  const code = (answer: { body: Record<string, unknown> }): unknown => answer.body["errorCode"];

  test("a send is refused for the result of a tool, for a body without agent or conversation, and for an id that occurs twice", async () => {
    const { connect, call } = createHarness();
    const { connectionId, socket } = await connect("device-1");
    const path = `/v1/environments/${connectionId}/messages`;
    const toolReturn = { status: "success", tool_call_id: "t-1", tool_return: "done" };
    const approval = { type: "approval", approvals: [toolReturn] };
    const principal = withApprove;
    const refusals = [
      await call("POST", path, { principal, body: { agentId: "a", messages: [userMessage(), approval] } }),
      await call("POST", path, { body: { messages: [userMessage()] } }),
      await call("POST", path, { body: { messages: [userMessage()], conversationId: "default" } }),
      await call("POST", path, { body: { agentId: "a", messages: [userMessage("m-1"), userMessage("m-1", "other")] } }),
    ];
    expect(refusals.map(code)).toEqual([
      "approvals_unsupported",
      "agent_required",
      "agent_required",
      "invalid_request",
    ]);
    expect(refusals.map((answer) => answer.status)).toEqual([422, 422, 422, 400]);
    expect(refusals[0]?.body["errors"]).toMatchObject([{ member: "messages[1].approvals[0]" }]);
    expect(refusals[1]?.body["errors"]).toMatchObject([{ member: "agentId" }]);
    expect(refusals[3]?.body["errors"]).toMatchObject([{ member: "messages[1].client_message_id" }]);
    expect(socket.frames).toEqual([]);
  });

  test("a send to an unknown connection, another tenant's and one outside the key's allowlist is the same 404", async () => {
    const { connect, send } = createHarness();
    const { connectionId, socket } = await connect("device-1");
    const answers = [
      await send("conn-unknown"),
      await send(connectionId, {}, { principal: { ...anyone, tenant: "other" } }),
      await send(connectionId, {}, { principal: { ...anyone, deviceIds: ["device-2"] } }),
    ];
    for (const answer of answers) expect(answer).toEqual(answers[0]);
    expect(answers[0]).toMatchObject({ status: 404, body: { errorCode: "connection_not_found" } });
    expect(socket.frames).toEqual([]);
  });

  test("a send to an offline device is refused immediately, and the same id can be sent later", async () => {
    const { register, open, send, settle } = createHarness();
    const connectionId = await register("device-1");
    const refused = await send(connectionId);
    expect(refused).toMatchObject({
      status: 409,
      headers: { "x-should-retry": "false" },
      body: { errorCode: "device_offline" },
    });
    const socket = await open(connectionId);
    await settle();
    expect(socket.frames).toEqual([]);
    const sent = send(connectionId);
    await settle();
    socket.acknowledge();
    expect((await sent).headers).not.toHaveProperty("idempotency-replayed");
  });

  test("a send to a connectionId that the device has replaced is refused, whether it is online or not", async () => {
    const { connect, register, send } = createHarness();
    const { connectionId, socket } = await connect("device-1");
    socket.listener.onClose(1005);
    const secondId = await register("device-1");
    expect(code(await send(connectionId))).toBe("connection_replaced");
    expect(code(await send(secondId))).toBe("device_offline");
    const { socket: third } = await connect("device-1");
    expect(code(await send(secondId))).toBe("connection_replaced");
    expect(third.frames).toEqual([]);
  });

  test("a send is dropped when the caller disconnects before its turn; after the frame is written it continues without the caller", async () => {
    const { connect, send, settle, store } = createHarness();
    const { connectionId, socket } = await connect("device-1");
    const gone = AbortSignal.abort(new Error("gone"));
    const { reserve } = store;
    Object.assign(store, { reserve: () => expect.unreachable() });
    await expect(send(connectionId, {}, { signal: gone })).rejects.toThrow("gone");
    Object.assign(store, { reserve });
    expect(socket.frames).toEqual([]);
    const controller = new AbortController();
    const sent = send(connectionId, {}, { signal: controller.signal });
    await settle();
    controller.abort();
    socket.acknowledge();
    expect((await sent).status).toBe(200);
    expect((await send(connectionId)).headers).toMatchObject({ "idempotency-replayed": "true" });
  });

  test("a send is refused when the socket closes between the reservation and the frame, and the id stays free", async () => {
    const { connect, send, store, open, settle } = createHarness();
    const { connectionId, socket } = await connect("device-1");
    const { reserve } = store;
    let close: (() => void) | null = () => socket.listener.onClose(1006);
    const closing: typeof reserve = async (...reservation) => {
      const reserved = await reserve(...reservation);
      close?.();
      close = null;
      return reserved;
    };
    Object.assign(store, { reserve: closing });
    expect(code(await send(connectionId))).toBe("device_offline");
    expect(socket.frames).toEqual([]);
    const second = await open(connectionId);
    const sent = send(connectionId);
    await settle();
    second.acknowledge();
    expect((await sent).status).toBe(200);
  });
});

test("a repeat is sent if the first send was not sent, even if its ids could not be released and the body differs", async () => {
  for (const content of ["hello", "changed"]) {
    const harness = createHarness();
    const { connectionId, socket } = await harness.connect("device-1");
    const { reserve, release } = harness.store;
    const caller = new AbortController();
    const gone = new Error("gone");
    // The caller leaves while the ids are stored, and the store fails once when they are to be released.
    harness.store.reserve = async (...values) => {
      const isReserved = await reserve(...values);
      caller.abort(gone);
      return isReserved;
    };
    harness.store.release = () => Promise.reject(new Error("disk full"));
    const messages = [userMessage("m-1")];
    expect((await harness.send(connectionId, { messages }, { signal: caller.signal })).status).toBe(500);
    Object.assign(harness.store, { reserve, release });
    socket.onFrame = () => queueMicrotask(() => socket.acknowledge());
    const repeat = await harness.send(connectionId, { messages: [userMessage("m-1", content)] });
    expect([repeat.status, repeat.headers["idempotency-replayed"]]).toEqual([200, undefined]);
    expect(socket.inputs()).toHaveLength(1);
  }
});

test("a repeat is sent if the first send was not sent because its reservation failed after it was stored", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  const { reserve } = harness.store;
  harness.store.reserve = async (...values) => {
    await reserve(...values);
    throw new Error("the answer was lost");
  };
  expect((await harness.send(connectionId)).status).toBe(500);
  harness.store.reserve = reserve;
  socket.onFrame = () => queueMicrotask(() => socket.acknowledge());
  const repeat = await harness.send(connectionId);
  expect([repeat.status, repeat.headers["idempotency-replayed"]]).toEqual([200, undefined]);
});
