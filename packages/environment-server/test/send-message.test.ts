import { describe, expect, test } from "vitest";
import { anyone, createHarness, userMessage } from "./support/harness.ts";

describe("frames that a device receives", () => {
  test("a send is a v2 input with the messages unchanged, including unknown members", async () => {
    const { connect, send, settle } = createHarness();
    const { connectionId, socket } = await connect("device-1");
    const messages = [
      { ...userMessage("m-1"), otid: "o-1", future: { deep: [1, null] } },
      {
        client_message_id: "m-2",
        role: "user" as const,
        content: [{ type: "text" as const, text: "\u{1F600}", extra: 1 }],
      },
    ];
    const sent = send(connectionId, { messages, agentId: "agent-1", conversationId: "conv-1" });
    await settle();
    expect(socket.frames).toEqual([
      {
        type: "input",
        request_id: expect.stringMatching(/^msg-/),
        runtime: { agent_id: "agent-1", conversation_id: "conv-1" },
        payload: { kind: "create_message", messages },
      },
    ]);
    socket.acknowledge();
    await sent;
  });

  test("a send names the conversation 'default' when the request names none", async () => {
    const { connect, send, settle } = createHarness();
    const { connectionId, socket } = await connect("device-1");
    for (const [index, conversationId] of [undefined, null, "", "default"].entries()) {
      const conversation = conversationId === undefined ? {} : { conversationId };
      const sent = send(connectionId, { messages: [userMessage(`m-${index}`)], ...conversation });
      await settle();
      socket.acknowledge();
      expect((await sent).status).toBe(200);
      expect(socket.inputs().at(-1)?.runtime).toEqual({ agent_id: "agent-1", conversation_id: "default" });
    }
    expect(socket.inputs()).toHaveLength(4);
  });

  test("a send has no agent when the request names a conversation without one", async () => {
    const { connect, call, settle } = createHarness();
    const { connectionId, socket } = await connect("device-1");
    const body = { messages: [userMessage()], conversationId: "conv-1" };
    const sent = call("POST", `/v1/environments/${connectionId}/messages`, { body });
    await settle();
    expect(socket.inputs()[0]?.runtime).toEqual({ agent_id: null, conversation_id: "conv-1" });
    socket.acknowledge();
    expect((await sent).status).toBe(200);
  });
});

describe("responses to a send", () => {
  test("a send waits for the acknowledgement, contains the disposition, and is stored before it is returned", async () => {
    const { connect, send, settle, store, clock } = createHarness();
    const { connectionId, socket } = await connect("device-1");
    const sent = send(connectionId);
    let answered = false;
    void sent.then(() => (answered = true));
    await settle();
    expect(answered).toBe(false);
    socket.acknowledge({ accepted: true, disposition: "queued" });
    const answer = await sent;
    expect(answer).toMatchObject({ status: 200 });
    expect(answer.body).toEqual({
      success: true,
      message: "Message accepted by the device (queued).",
      disposition: "queued",
    });
    const { environment } = (await store.findConnection(anyone.tenant, connectionId)) ?? {};
    const scope = { environmentId: environment?.id ?? "", agentId: "agent-1", conversationId: "default" };
    expect(await store.findMessages(scope, ["m-1"], clock.now())).toMatchObject([
      { outcome: { kind: "accepted", disposition: "queued" } },
    ]);
  });

  test("a send is 409 with the device's error text, without control characters and shortened, when the device rejects it", async () => {
    const { connect, send, settle } = createHarness();
    const { connectionId, socket } = await connect("device-1");
    const sent = send(connectionId);
    await settle();
    socket.acknowledge({ accepted: false, error: `Input was rejected\r\n\u001b[31m${"x".repeat(2_000)}` });
    const answer = await sent;
    expect(answer).toMatchObject({
      status: 409,
      headers: { "x-should-retry": "false" },
      body: { errorCode: "input_rejected" },
    });
    expect(answer.body["message"]).toMatch(/^Input was rejected \[31mx+$/);
    expect(String(answer.body["message"]).length).toBeLessThanOrEqual(500);
  });

  test("a send is 504 with x-should-retry: false when the device does not acknowledge within 10 s", async () => {
    const { connect, send, settle, clock } = createHarness();
    const { connectionId } = await connect("device-1");
    const sent = send(connectionId);
    let answered = false;
    void sent.then(() => (answered = true));
    await settle();
    await clock.advance(9_999);
    expect(answered).toBe(false);
    await clock.advance(1);
    expect(await sent).toMatchObject({
      status: 504,
      headers: { "x-should-retry": "false" },
      body: { errorCode: "delivery_unknown" },
    });
  });

  test("a send is 504 immediately when the socket closes, is dropped or is replaced before the acknowledgement", async () => {
    for (const end of ["close", "replace", "silence"] as const) {
      const harness = createHarness();
      const { connectionId, socket } = await harness.connect("device-1");
      if (end === "silence") await harness.clock.advance(119_000);
      const sent = harness.send(connectionId);
      await harness.settle();
      if (end === "close") socket.listener.onClose(1006);
      else if (end === "replace") await harness.open(connectionId);
      else await harness.clock.advance(1_000);
      expect(await sent).toMatchObject({ status: 504, body: { errorCode: "delivery_unknown" } });
    }
  });

  test("a send ignores acknowledgements of another device", async () => {
    const { connect, send, settle, clock } = createHarness();
    const { connectionId, socket } = await connect("device-1");
    const other = await connect("device-2");
    const sent = send(connectionId);
    await settle();
    const requestId = socket.inputs()[0]?.request_id ?? "";
    other.socket.acknowledge({ accepted: false, error: "forged" }, requestId);
    await clock.advance(10_000);
    other.socket.acknowledge({ accepted: true }, requestId);
    expect((await sent).status).toBe(504);
    await settle();
    expect((await send(connectionId)).status).toBe(504);
  });

  test("a send is 409 device_offline when the socket fails, which drops it, and a repeat is sent", async () => {
    const { connect, open, send, settle, call } = createHarness();
    const { connectionId, socket } = await connect("device-1");
    socket.onFrame = () => {
      throw new Error("EPIPE");
    };
    const answer = await send(connectionId);
    await settle();
    expect(answer).toMatchObject({ status: 409, body: { errorCode: "device_offline" } });
    expect(socket.terminated).toBe(true);
    expect((await call("GET", "/v1/environments/device-1")).body["connectionId"]).toBeNull();
    const again = await open(connectionId);
    const repeat = send(connectionId);
    await settle();
    again.acknowledge();
    expect((await repeat).status).toBe(200);
  });
});
