/** `operate`: one operation with decoded input, for a gateway that has already matched, authorised and decoded the request. */
import { type Principal, problemResponse } from "@letta-environments/schema";
import { expect, test } from "vitest";
import type { RequestContext } from "../src/index.ts";
import { anyone, createHarness, type Harness, toAnswer, userMessage } from "./support/harness.ts";

const controller: Principal = { ...anyone, scopes: new Set([...anyone.scopes, "control"] as const) };
const context: RequestContext = { authority: "http://127.0.0.1:8787" };

function operateSend({ server }: Harness, connectionId: string, more: Partial<RequestContext> = {}) {
  const body = { agentId: "agent-1", messages: [userMessage()] };
  return server.operate("sendMessage", { params: { connectionId }, query: null, body }, anyone, {
    ...context,
    ...more,
  });
}

test("operate returns what handle returns for the same request", async () => {
  const harness = createHarness();
  await harness.register("device-1");
  const { server, call } = harness;
  const noInput = { params: {}, query: {}, body: null } as const;
  const list = await server.operate("listEnvironments", noInput, anyone, context);
  expect(toAnswer(list)).toEqual(await call("GET", "/v1/environments"));
  const retrieve = { params: { deviceId: "device-1" }, query: null, body: null } as const;
  const read = await server.operate("retrieveEnvironment", retrieve, anyone, context);
  expect(toAnswer(read)).toEqual(await call("GET", "/v1/environments/device-1"));
  const upgrade = { params: { connectionId: "conn-1" }, query: null, body: null } as const;
  const socket = await server.operate("openDeviceSocket", upgrade, anyone, context);
  expect(toAnswer(socket)).toEqual(await call("GET", "/v1/environments/conn-1/socket"));
});

test("operate runs the operation that its caller names, even with the decoded input of another operation", async () => {
  const harness = createHarness();
  const { connectionId } = await harness.connect("device-1");
  const input = { operation: "openViewerSocket", params: { connectionId }, query: null, body: null } as const;
  expect((await harness.server.operate("createViewerTicket", input, anyone, context)).status).toBe(200);
});

test("responses to lists, reads and sends declare for how many seconds message ids are remembered", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  socket.onFrame = () => socket.acknowledge();
  const declared = { "x-message-deduplication": "86400" };
  for (const answer of [
    await harness.call("GET", "/v1/environments"),
    await harness.call("GET", "/v1/environments/device-1"),
    await harness.call("GET", "/v1/environments/device-2"),
    await harness.send(connectionId),
    await harness.send("conn-unknown"),
  ]) {
    expect(answer.headers).toMatchObject(declared);
  }
  const body = { deviceId: "device-3", connectionName: "device-3" };
  const registered = await harness.call("POST", "/v1/environments/register", { body });
  expect(registered.headers).not.toMatchObject(declared);
});

test("beforeSend receives the device before anything is reserved or sent", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  const { reserve } = harness.store;
  const steps: string[] = [];
  Object.assign(harness.store, {
    reserve: (...values: Parameters<typeof reserve>) => (steps.push("reserve"), reserve(...values)),
  });
  socket.onFrame = () => {
    steps.push("frame");
    socket.acknowledge();
  };
  const sent = await operateSend(harness, connectionId, {
    async beforeSend({ deviceId, connectionName }) {
      steps.push(`${deviceId}, ${connectionName}`);
      return null;
    },
  });
  expect(sent.status).toBe(200);
  expect(steps).toEqual(["device-1, name of device-1", "reserve", "frame"]);
});

test("a response of beforeSend ends the send: nothing is reserved or sent", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  const refusal = problemResponse("audit_unavailable");
  const answer = await operateSend(harness, connectionId, { beforeSend: async () => refusal });
  expect(answer).toMatchObject({ status: refusal.status, body: refusal.body });
  expect(socket.frames).toEqual([]);
  const sent = operateSend(harness, connectionId);
  await harness.settle();
  socket.acknowledge();
  expect((await sent).headers).not.toHaveProperty("idempotency-replayed");
});

test("beforeSend is not called for a send that is refused by its content or its device", async () => {
  const harness = createHarness();
  await harness.connect("device-1");
  const beforeSend = async (): Promise<never> => expect.unreachable();
  expect((await operateSend(harness, "conn-unknown", { beforeSend })).status).toBe(404);
  const body = { messages: [userMessage()] };
  const input = { params: { connectionId: "conn-unknown" }, query: null, body } as const;
  expect((await harness.server.operate("sendMessage", input, anyone, { ...context, beforeSend })).status).toBe(422);
});

test("an error of beforeSend is 500, and nothing is sent", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  const beforeSend = (): Promise<never> => Promise.reject(new Error("defect"));
  expect((await operateSend(harness, connectionId, { beforeSend })).status).toBe(500);
  expect(socket.frames).toEqual([]);
});

test("sends to a connection are delivered in order of arrival, however long beforeSend takes", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  socket.onFrame = ({ request_id: requestId }) => socket.acknowledge({ accepted: true }, String(requestId));
  const sends = [30, 1, 20, 5].map((delayMs, index) => {
    const body = { agentId: "agent-1", messages: [userMessage(`m-${index}`)] };
    const beforeSend = (): Promise<null> =>
      new Promise((resolve) => void harness.clock.setTimer(delayMs, () => resolve(null)));
    const input = { params: { connectionId }, query: null, body } as const;
    return harness.server.operate("sendMessage", input, anyone, { ...context, beforeSend });
  });
  await harness.clock.advance(100);
  await Promise.all(sends);
  const ids = socket.inputs().flatMap(({ payload }) => payload.messages.map((message) => message.client_message_id));
  expect(ids).toEqual(["m-0", "m-1", "m-2", "m-3"]);
});

test("a connection that was already looked up is not looked up again", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  socket.onFrame = () => socket.acknowledge();
  const connection = await harness.server.findConnection("acme", connectionId);
  expect(connection?.environment.deviceId).toBe("device-1");
  Object.assign(harness.store, { findConnection: () => expect.unreachable() });
  expect((await operateSend(harness, connectionId, { connection })).status).toBe(200);
  expect((await operateSend(harness, "conn-unknown", { connection: null })).status).toBe(404);
});

test("beforeSend is not called for a caller that disconnects while the connection is looked up", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  const caller = new AbortController();
  const { findConnection } = harness.store;
  Object.assign(harness.store, {
    findConnection(...values: Parameters<typeof findConnection>) {
      caller.abort(new Error("gone"));
      return findConnection(...values);
    },
  });
  let callCount = 0;
  const sent = operateSend(harness, connectionId, {
    signal: caller.signal,
    async beforeSend() {
      callCount += 1;
      return null;
    },
  });
  await expect(sent).rejects.toThrow("gone");
  expect([callCount, socket.frames]).toEqual([0, []]);
});

test("a command reports that it was sent as soon as its frame is written, and not before", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  const progress = { isSent: true };
  const { findConnection } = harness.store;
  const seen: boolean[] = [];
  Object.assign(harness.store, {
    findConnection: (...values: Parameters<typeof findConnection>) => (
      seen.push(progress.isSent),
      findConnection(...values)
    ),
  });
  const input = { params: { connectionId }, query: null, body: { agentId: "agent-1" } } as const;
  const stopped = harness.server.operate("stopTurn", input, controller, { ...context, progress });
  await harness.settle();
  expect([...seen, progress.isSent]).toEqual([false, true]);
  socket.listener.onClose(1006);
  expect((await stopped).status).toBe(504);
});

test("a command whose caller disconnects while the device is asked about the conversation is not sent", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-1");
  const caller = new AbortController();
  const options = { principal: { ...controller, agentIds: ["agent-1"] }, signal: caller.signal };
  const body = { agentId: "agent-1", conversationId: "conv-1" };
  const stopped = harness
    .call("POST", `/v1/environments/${connectionId}/stop`, { ...options, body })
    .catch((error: unknown) => error);
  await harness.settle();
  const { request_id } = socket.frames[0] ?? {};
  caller.abort(new Error("gone"));
  const conversation = { agent_id: "agent-1" };
  socket.say({ type: "conversation_retrieve_response", request_id, success: true, conversation });
  await harness.settle();
  expect(socket.frames).toMatchObject([{ type: "conversation_retrieve" }]);
  expect(await stopped).toMatchObject({ message: "gone" });
});
