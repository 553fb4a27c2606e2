import { expect, test } from "vitest";
import { frameRate } from "../src/socket/rates.ts";
import { anyone, createHarness, toRequest, userMessage } from "./support/harness.ts";

test("close() closes every socket with 1001 and leaves no timer", async () => {
  const { connect, server, clock } = createHarness();
  const devices = [await connect("device-1"), await connect("device-2")];
  await server.close();
  for (const { socket } of devices) expect(socket.closes).toEqual([{ code: 1001, reason: "Server is shutting down" }]);
  expect(clock.timerCount).toBe(0);
});

test("a send that waits for its acknowledgement is 504, and its outcome is stored, before close() resolves", async () => {
  const { connect, send, settle, server, store, clock } = createHarness();
  const { connectionId } = await connect("device-1");
  const sent = send(connectionId);
  await settle();
  await server.close();
  expect(await sent).toMatchObject({ status: 504, body: { errorCode: "delivery_unknown" } });
  const record = await store.findConnection("acme", connectionId);
  const scope = { environmentId: record?.environment.id ?? "", agentId: "agent-1", conversationId: "default" };
  expect(await store.findMessages(scope, ["m-1"], clock.now())).toMatchObject([{ outcome: { kind: "unknown" } }]);
});

test("a send that is still queued when the server closes is 503, and is neither stored nor sent", async () => {
  const { connect, send, server, store, clock } = createHarness();
  const { connectionId, socket } = await connect("device-1");
  const sends = [send(connectionId), send(connectionId, { messages: [userMessage("m-2")] })];
  await server.close();
  for (const answer of await Promise.all(sends)) {
    expect(answer).toMatchObject({
      status: 503,
      headers: { "x-should-retry": "true" },
      body: { errorCode: "shutting_down" },
    });
  }
  expect(socket.frames).toEqual([]);
  const record = await store.findConnection("acme", connectionId);
  const scope = { environmentId: record?.environment.id ?? "", agentId: "agent-1", conversationId: "default" };
  expect(await store.findMessages(scope, ["m-1", "m-2"], clock.now())).toEqual([]);
});

test("a command that is still waiting when the server closes is 503, and is not sent", async () => {
  const { connect, call, server } = createHarness();
  const { connectionId, socket } = await connect("device-1");
  const principal = { ...anyone, scopes: new Set([...anyone.scopes, "control"] as const) };
  const stopped = call("POST", `/v1/environments/${connectionId}/stop`, { principal, body: { agentId: "agent-1" } });
  await server.close();
  expect(await stopped).toMatchObject({ status: 503, body: { errorCode: "shutting_down" } });
  expect(socket.frames).toEqual([]);
});

test("close() also closes a socket that was refused for a limit and has not closed", async () => {
  const { connect, server, clock } = createHarness();
  const { socket } = await connect("device-1");
  for (let frame = 0; frame <= frameRate.burst; frame += 1) socket.say({ type: "other" });
  expect([socket.closes.length, socket.terminated]).toEqual([1, false]);
  await server.close();
  expect([socket.terminated, clock.timerCount]).toEqual([true, 0]);
});

test("a closed server refuses requests and upgrades as retryable, and closes a socket whose handshake ends later", async () => {
  const { register, call, send, server } = createHarness();
  const connectionId = await register("device-1");
  const upgrade = toRequest("GET", `/v1/environments/${connectionId}/socket`);
  const early = await server.upgrade(upgrade, anyone);
  await server.close();
  const refused = { status: 503, headers: { "x-should-retry": "true" }, body: { errorCode: "shutting_down" } };
  expect(await call("GET", "/v1/environments")).toMatchObject(refused);
  expect(await send(connectionId)).toMatchObject(refused);
  expect(await server.upgrade(upgrade, anyone)).toMatchObject({ kind: "refused", response: { status: 503 } });
  if (early.kind === "refused") throw new Error("refused");
  const closes: number[] = [];
  early.attach({ send: () => undefined, close: (code) => void closes.push(code), terminate: () => undefined });
  expect(closes).toEqual([1001]);
});

test("an event listener that throws does not affect requests", async () => {
  const { connect, send, settle, events } = createHarness();
  const push = events.push;
  events.push = () => {
    throw new Error("log is full");
  };
  const { connectionId, socket } = await connect("device-1");
  const sent = send(connectionId);
  await settle();
  socket.acknowledge();
  expect((await sent).status).toBe(200);
  events.push = push;
});

test("events contain ids and no content", async () => {
  const { connect, send, settle, events } = createHarness();
  const { connectionId, socket } = await connect("device-1");
  const sent = send(connectionId, { messages: [userMessage("m-1", "a secret text")] });
  await settle();
  socket.acknowledge({ accepted: false, error: "another secret text" });
  await sent;
  socket.say({ type: "stream_delta", delta: { text: "a third secret text" } });
  socket.say("not json, but secret");
  socket.listener.onClose(1005);
  expect(events.map((event) => event.type)).toEqual([
    "device_registered",
    "device_connected",
    "message_sent",
    "message_acknowledged",
    "frame_ignored",
    "device_disconnected",
  ]);
  expect(JSON.stringify(events)).not.toContain("secret");
});

test("closeEnded() closes only the named devices, with 1008, and takes them offline at once", async () => {
  const { connect, open, register, server, send, events } = createHarness();
  const connectionId = await register("device-1");
  const ended = { connectionId, socket: await open(connectionId, { ...anyone, credentialId: "secret-1" }) };
  const kept = await connect("device-2");
  const name = "name of device-1";
  expect(server.connectedDevices()[0]).toEqual({
    tenant: anyone.tenant,
    keyId: anyone.keyId,
    credentialId: "secret-1",
    deviceId: "device-1",
    connectionName: name,
    approvalPolicy: null,
  });
  server.closeEnded((device) => device.connectionName === name);
  expect(ended.socket.closes).toEqual([{ code: 1008, reason: "The gateway key no longer allows this" }]);
  expect(kept.socket.closes).toEqual([]);
  expect(server.connectedDevices().map(({ deviceId }) => deviceId)).toEqual(["device-2"]);
  expect(await send(ended.connectionId)).toMatchObject({ status: 409, body: { errorCode: "device_offline" } });
  expect(events).toContainEqual(
    expect.objectContaining({ type: "device_disconnected", code: 1008, reason: "key_ended" }),
  );
});

test("closeChanged() closes only the named devices, with 1013, and their turns continue", async () => {
  const { connect, server, events } = createHarness();
  const [changed, kept] = [await connect("device-1"), await connect("device-2")];
  server.closeChanged(({ deviceId }) => deviceId === "device-1");
  expect(changed.socket.closes).toEqual([{ code: 1013, reason: "The approval policy of the device changed" }]);
  expect(kept.socket.closes).toEqual([]);
  expect(events).toContainEqual(
    expect.objectContaining({ type: "device_disconnected", code: 1013, reason: "policy_changed" }),
  );
});
