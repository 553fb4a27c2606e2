/** The events of messages: their texts, and messages that could not be sent. */
import type { Principal } from "@letta-environments/schema";
import { expect, test } from "vitest";
import { parsedRate } from "../src/socket/rates.ts";
import { deltaFrame as delta, listen, settleEvents as settle } from "./support/event-streams.ts";
import { anyone, createHarness, userMessage } from "./support/harness.ts";

const viewer: Principal = { ...anyone, scopes: new Set([...anyone.scopes, "view"] as const) };

test("the end event of a message contains the text of its turn only for readers of output", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-a");
  const sinks = [
    await listen(harness, { principal: viewer, include: "output" }),
    await listen(harness, { principal: viewer }),
    await listen(harness),
  ];
  const from = sinks[0]?.lastEventId ?? "";
  const sending = harness.send(connectionId);
  await settle(harness);
  socket.acknowledge();
  await sending;
  socket.say(delta(1));
  socket.say({
    type: "turn_finished",
    stop_reason: "end_turn",
    runtime: { agent_id: "agent-1", conversation_id: "default" },
  });
  await settle(harness);
  // The same for what is read from the store.
  sinks.push(await listen(harness, { principal: viewer, include: "output", lastEventId: from }));
  sinks.push(await listen(harness, { lastEventId: from }));
  const ends = sinks.map(({ events }) => events.findLast(({ type }) => type === "message")?.data["message"]);
  expect(ends.map((end) => (end as { state: string }).state)).toEqual(Array.from({ length: 5 }, () => "finished"));
  expect(ends.map((end) => (end as { text?: string }).text)).toEqual([
    "text 1",
    undefined,
    undefined,
    "text 1",
    undefined,
  ]);
});

test("the events of a message that was received but could not be sent show it as failed", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-a");
  const runtime = { agent_id: "agent-1", conversation_id: "default" };
  const report = (mode: string): void =>
    socket.say({ type: "update_device_status", runtime, device_status: { current_permission_mode: mode } });
  report("standard");
  const sink = await listen(harness);
  const { reserve } = harness.store;
  Object.assign(harness.store, {
    async reserve(...values: Parameters<typeof reserve>) {
      report("unrestricted");
      return reserve(...values);
    },
  });
  await harness.send(connectionId, {}, { principal: { ...anyone, maxMode: "standard" } });
  await settle(harness);
  const messages = sink.events.filter(({ type }) => type === "message").map(({ data }) => data["message"]);
  expect(messages).toMatchObject([{ state: "received" }, { state: "failed", error: "The message was not sent." }]);
});

test("the text of a turn is stored with its end only while somebody reads output", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-a");
  const runTurn = async (id: string): Promise<void> => {
    const sending = harness.send(connectionId, { messages: [userMessage(id)] });
    await settle(harness);
    socket.acknowledge();
    await sending;
    socket.say(
      delta(1, { idempotency_key: id, delta: { message_type: "assistant_message", id, content: `of ${id}` } }),
    );
    const runtime = { agent_id: "agent-1", conversation_id: "default" };
    socket.say({ type: "turn_finished", stop_reason: "end_turn", runtime });
    await settle(harness);
  };
  const stored = async (): Promise<string> => {
    const { changes } = await harness.store.readChanges({
      tenant: "acme",
      after: 0,
      includesOutput: false,
      deviceIds: null,
    });
    return JSON.stringify(changes);
  };
  await listen(harness);
  await runTurn("m-1");
  expect(await stored()).not.toContain("of m-1");
  await listen(harness, { principal: viewer, include: "output" });
  await runTurn("m-2");
  expect(await stored()).toContain("of m-2");
});

test("a message that is refused because of the mode of its conversation has no events", async () => {
  const harness = createHarness();
  const { connectionId, socket } = await harness.connect("device-a");
  const runtime = { agent_id: "agent-1", conversation_id: "default" };
  socket.say({ type: "update_device_status", runtime, device_status: { current_permission_mode: "unrestricted" } });
  const sink = await listen(harness);
  const refused = await harness.send(connectionId, {}, { principal: { ...anyone, maxMode: "standard" } });
  expect(refused).toMatchObject({ status: 403, body: { errorCode: "mode_not_allowed" } });
  await settle(harness);
  expect(sink.events.filter(({ type }) => type === "message")).toEqual([]);
});

test.each([
  [undefined, []],
  ["output" as const, [{ code: 1013 }]],
])("the text of turns counts as parsed while somebody reads it: %s", async (include, closes) => {
  const harness = createHarness();
  const { socket } = await harness.connect("device-a");
  await listen(harness, { principal: viewer, ...(include && { include }) });
  const content = "x".repeat(500_000);
  const said = { message_type: "tool_return_message", id: "msg-1", content };
  for (let sent = 0; sent <= parsedRate.burst; sent += content.length) socket.say(delta(sent, { delta: said }));
  expect(socket.closes).toMatchObject(closes);
});
