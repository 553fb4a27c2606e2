import { expect, test } from "vitest";
import { defaultSettleMs } from "../src/limits.ts";
import { anyone, createHarness, userMessage } from "./support/harness.ts";

const settleMs = defaultSettleMs;

test("messages to a device whose socket has just opened wait until the device is ready, and are then sent in order", async () => {
  const harness = createHarness({ settleMs });
  const { connectionId, socket } = await harness.connect("dev-1");
  const first = harness.send(connectionId, { messages: [userMessage("m-1")] });
  const second = harness.send(connectionId, { messages: [userMessage("m-2")], conversationId: "conv-1" });
  await harness.clock.advance(settleMs - 1);
  expect(socket.frames).toEqual([]);
  await harness.clock.advance(1);
  expect(socket.inputs().map((input) => input.payload.messages[0]?.client_message_id)).toEqual(["m-1", "m-2"]);
  for (const input of socket.inputs()) socket.acknowledge(undefined, input.request_id);
  expect([(await first).status, (await second).status]).toEqual([200, 200]);
});

test("a command to a device whose socket has just opened waits until the device is ready", async () => {
  const harness = createHarness({ settleMs });
  const { connectionId, socket } = await harness.connect("dev-1");
  const principal = { ...anyone, scopes: new Set([...anyone.scopes, "control"] as const) };
  void harness.call("POST", `/v1/environments/${connectionId}/stop`, { principal, body: { agentId: "agent-1" } });
  await harness.clock.advance(settleMs - 1);
  expect(socket.frames).toEqual([]);
  await harness.clock.advance(1);
  expect(socket.frames).toMatchObject([{ type: "abort_message" }]);
});

test("when a device disconnects while a message waits, nothing is sent and nothing is reserved", async () => {
  const harness = createHarness({ settleMs });
  const { connectionId, socket } = await harness.connect("dev-1");
  const answer = harness.send(connectionId);
  await harness.settle();
  socket.listener.onClose(1006);
  await harness.clock.advance(settleMs);
  expect((await answer).body).toMatchObject({ errorCode: "device_offline" });
  const again = await harness.open(connectionId);
  const repeat = harness.send(connectionId);
  await harness.clock.advance(settleMs);
  expect(again.inputs()).toHaveLength(1);
  again.acknowledge();
  expect((await repeat).headers).not.toHaveProperty("idempotency-replayed");
});

test("a message to a device that has been connected for longer is sent immediately", async () => {
  const harness = createHarness({ settleMs });
  const { connectionId, socket } = await harness.connect("dev-1");
  await harness.clock.advance(settleMs);
  const answer = harness.send(connectionId);
  await harness.settle();
  socket.acknowledge();
  expect((await answer).status).toBe(200);
});
