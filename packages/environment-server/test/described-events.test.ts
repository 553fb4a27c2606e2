/** Real events of every type against the API description. `listen` compares what the other tests receive, too. */
import { expect, test } from "vitest";
import { allow, decide } from "./support/decisions.ts";
import { findDifference } from "./support/described-events.ts";
import { deltaFrame, listen, settleEvents as settle } from "./support/event-streams.ts";
import { anyone, createHarness } from "./support/harness.ts";

test("every type of event, and a request for permission in each of its changes, matches the API description", async () => {
  const harness = createHarness();
  const principal = { ...anyone, scopes: new Set([...anyone.scopes, "view", "approve"] as const) };
  const sink = await listen(harness, { principal, include: "output" });
  const { connectionId, socket } = await harness.connect("device-a");
  const sending = harness.send(connectionId);
  await settle(harness);
  socket.acknowledge();
  await sending;
  socket.say(deltaFrame(1));
  socket.say(deltaFrame(2, { subagent_id: "agent-2" }));
  for (const id of ["call-1", "call-2"]) socket.ask(id);
  await settle(harness);
  const decision = decide(harness, connectionId, [allow]);
  await settle(harness);
  socket.acknowledge({ accepted: true });
  await decision;
  const runtime = { agent_id: "agent-1", conversation_id: "default" };
  socket.say({ type: "update_device_status", runtime, device_status: { pending_control_requests: [] } });
  await harness.server.devices.remove("acme", "device-a", () => true);
  await settle(harness);
  const unknown = await listen(harness, { principal, lastEventId: "0".repeat(44) });
  const received = [...sink.events, ...unknown.events];
  const kinds = new Set(received.map(({ type, data }) => data["removed"] ?? data["change"] ?? type));
  expect(kinds).toEqual(
    new Set(["environment", true, "message", "output", "requested", "decided", "withdrawn", "gap"]),
  );
  expect(received.flatMap(({ type, data }) => findDifference(type, data) ?? [])).toEqual([]);
  const subagents = received.flatMap(({ data }) => data["subagentId"] ?? []);
  expect(subagents).toEqual(["agent-2"]);
});

test("an event that lacks a member, or has one that is not described, does not match the API description", () => {
  const device = { deviceId: "d", connectionId: null };
  expect(findDifference("environment", { ...device, environment: { id: "e", deviceId: "d", tags: null } })).toBe(null);
  expect(findDifference("environment", { ...device, environment: { id: "e", deviceId: "d", podId: "p" } })).not.toBe(
    null,
  );
  expect(findDifference("gap", {})).not.toBe(null);
});
