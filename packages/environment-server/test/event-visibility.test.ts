import type { Principal, Scope } from "@letta-environments/schema";
import { createRandom, type Random } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { environmentEventIntervalMs, eventHeartbeatMs } from "../src/limits.ts";
import type { EventSink } from "@letta-environments/testkit";
import { findCounters } from "./support/event-ids.ts";
import { deltaFrame, listen, openStream, settleEvents } from "./support/event-streams.ts";
import { anyone, createHarness, type Harness, userMessage } from "./support/harness.ts";

const deviceIds = ["device-a", "device-b", "device-c", "other"];
const agents = ["agent-1", "agent-2", "agent-3"];
const patterns = ["name of device-*", "name of *-b", "*", "nothing", "name of other"];
const readerScopes: readonly Scope[] = ["list", "read", "view", "details"];

/** A principal with random permissions. */
function randomPrincipal(random: Random, index: number): Principal {
  const some = <Value>(values: readonly Value[]): readonly Value[] => values.filter(() => random.happens(0.4));
  const maybe = <Value>(values: readonly Value[]): readonly Value[] | null =>
    random.happens(0.5) ? null : some(values);
  const scopes = new Set(some(readerScopes));
  return {
    ...anyone,
    tenant: random.happens(0.8) ? "acme" : "rival",
    keyId: `reader-${index}`,
    scopes: scopes.has("read") ? scopes : new Set([...scopes, "list"]),
    deviceIds: maybe(deviceIds),
    connectionNames: maybe(patterns),
    tenantDevices: random.happens(0.7) ? null : { deviceIds: some(deviceIds), connectionNames: some(patterns) },
    agentIds: maybe(agents),
    deviceTags: random.happens(0.6) ? null : some(["ci", "lab"]),
  };
}

/** The subject of an event, so that the test can read the same over REST. */
interface Subject {
  readonly type: string;
  readonly deviceId: string;
  readonly connectionId: string;
  readonly agentId: string | null;
  readonly messageId: string | null;
}

function subjectOf({ type, data }: EventSink["events"][number]): Subject {
  const { deviceId, connectionId, agentId, message } = data as {
    deviceId: string;
    connectionId: string;
    agentId?: string;
    message?: { agentId: string; clientMessageId: string };
  };
  return {
    type,
    deviceId,
    connectionId,
    agentId: message?.agentId ?? agentId ?? null,
    messageId: message?.clientMessageId ?? null,
  };
}

/** Whether the API shows a principal the subject of an event: by requests, not by the rules of events. */
async function mayRead(harness: Harness, principal: Principal, subject: Subject): Promise<boolean> {
  const { type, deviceId, connectionId, agentId, messageId } = subject;
  const reader: Principal = { ...principal, scopes: new Set([...principal.scopes, "read"]) };
  const device = await harness.call("GET", `/v1/environments/${deviceId}`, { principal: reader });
  if (device.status !== 200) return false;
  if (type === "environment") return true;
  if (type === "message") return principal.scopes.has("read") && readsMessage(messageId ?? "");
  // Every agent has a message with a known id on every device.
  return principal.scopes.has("view") && readsMessage(`known-${agentId}`);

  async function readsMessage(id: string): Promise<boolean> {
    const path = `/v1/environments/${connectionId}/messages/${id}`;
    return (await harness.call("GET", path, { principal: reader })).status === 200;
  }
}

async function run(seed: number): Promise<void> {
  const random = createRandom(seed);
  const harness = createHarness();
  const observer: Principal = { ...anyone, scopes: new Set([...anyone.scopes, "view"]) };
  // Events are decided by what a device was called then, and requests by what it is called now: so that stays the same.
  const devices: Awaited<ReturnType<Harness["connect"]>>[] = [];
  for (const deviceId of deviceIds) devices.push(await harness.connect(deviceId));
  await harness.server.devices.label("acme", "device-a", { tags: ["ci"] }, () => true);
  await harness.server.devices.label("acme", "device-b", { tags: ["ci", "lab"] }, () => true);
  const all = await listen(harness, { principal: observer, include: "output" });
  const principals = Array.from({ length: 12 }, (_, index) => randomPrincipal(random, index));
  const includeOf = ({ scopes }: Principal): { include?: "output" } =>
    scopes.has("view") ? { include: "output" } : {};
  const live = await Promise.all(
    principals.map((principal) => listen(harness, { principal, ...includeOf(principal) })),
  );
  const beginnings = live.map(({ lastEventId }) => lastEventId);
  for (const { connectionId, socket } of devices) {
    for (const agentId of agents) {
      const sending = harness.send(connectionId, { messages: [userMessage(`known-${agentId}`)], agentId });
      await settleEvents(harness);
      socket.acknowledge();
      await sending;
    }
  }
  for (let step = 0; step < 40; step += 1) {
    const { connectionId, socket } = random.pick(devices);
    const agentId = random.pick(agents);
    const runtime = { agent_id: agentId, conversation_id: "default" };
    const dice = random.below(3);
    if (dice === 0) {
      void harness.send(connectionId, { messages: [userMessage(`m-${step}`)], agentId });
      await settleEvents(harness);
      socket.acknowledge();
    } else if (dice === 1) socket.say(deltaFrame(step, { runtime }));
    else socket.say({ type: "update_device_status", device_status: { current_working_directory: `/w/${step}` } });
    await harness.clock.advance(random.below(1_500));
  }
  await settleEvents(harness);
  for (const [index, principal] of principals.entries()) {
    const expected = [];
    for (const event of all.events) {
      if (principal.tenant !== "acme" || (event.type === "output" && !principal.scopes.has("view"))) continue;
      if (await mayRead(harness, principal, subjectOf(event))) expected.push(event.id);
    }
    const resumed = await listen(harness, {
      principal,
      ...includeOf(principal),
      lastEventId: beginnings[index] ?? "",
    });
    await settleEvents(harness);
    expect(
      live[index]?.events.map(({ id }) => id),
      `live events of ${JSON.stringify(principal)}`,
    ).toEqual(expected);
    expect(
      resumed.events.map(({ id }) => id),
      "resumed events",
    ).toEqual(expected);
  }
  await harness.server.close();
}

test.each(Array.from({ length: 15 }, (_, seed) => seed))(
  "each event reaches exactly the keys that may read the same data over REST, live and after resuming (seed %i)",
  run,
);

test("a stream whose key has ended delivers no event that its reader had not yet received", async () => {
  const harness = createHarness();
  const { socket } = await harness.connect("device-a");
  const { stream, end } = await openStream(harness);
  const reader = stream.getReader();
  const report = (mode: string) =>
    socket.say({ type: "update_device_status", device_status: { current_permission_mode: mode } });
  await reader.read();
  const taken = reader.read();
  await settleEvents(harness);
  report("standard");
  await taken;
  report("unrestricted");
  await harness.clock.advance(environmentEventIntervalMs);
  await settleEvents(harness);
  end("credential_ended");
  await expect(reader.read()).rejects.toThrow("credential_ended");
});

test("a reader's event ids do not reveal the number of hidden events of other tenants and devices", async () => {
  const harness = createHarness();
  const { socket } = await harness.connect("device-a");
  await listen(harness);
  for (const principal of [
    { ...anyone, tenant: "rival" },
    { ...anyone, deviceIds: ["device-b"] },
  ]) {
    const sink = await listen(harness, { principal });
    const ids = [sink.lastEventId];
    for (let beat = 0; beat < 24; beat += 1) {
      const mode = beat % 2 === 0 ? "acceptEdits" : "standard";
      // In half of the time, nothing happens.
      if (beat < 12) socket.say({ type: "update_device_status", device_status: { current_permission_mode: mode } });
      await harness.clock.advance(eventHeartbeatMs);
      await settleEvents(harness);
      ids.push(sink.lastEventId);
    }
    expect(sink.events).toEqual([]);
    expect(findCounters(ids)).toEqual([]);
    expect(findCounters(ids.slice(12))).toEqual([]);
  }
});
