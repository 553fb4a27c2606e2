import { onlineWindowMs, type Principal } from "@letta-environments/schema";
import { openSqlite } from "@letta-environments/platform/node";
import { describe, expect, test } from "vitest";
import {
  eventHeartbeatMs,
  maxParsedLength,
  maxStreamsPerKey,
  maxUnreadBytesPerReader,
  maxUnreadMs,
} from "../src/limits.ts";
import { createSqliteEnvironmentStore } from "../src/sqlite.ts";
import type { EventSink } from "@letta-environments/testkit";
import { deltaFrame as delta, listen, openStream, settleEvents as settle } from "./support/event-streams.ts";
import { anyone, createHarness } from "./support/harness.ts";

const viewer: Principal = { ...anyone, scopes: new Set([...anyone.scopes, "view"] as const) };

const typesOf = (sink: EventSink): string[] => sink.events.map(({ type }) => type);

describe("events of environments", () => {
  test("the first event of an environment has all members, and later ones only the changes", async () => {
    const harness = createHarness();
    const sink = await listen(harness);
    const { connectionId, socket } = await harness.connect("device-a");
    await settle(harness);
    for (let second = 0; second < 2; second += 1) {
      await harness.clock.advance(1_000);
      await settle(harness);
    }
    socket.say({ type: "update_device_status", device_status: { current_permission_mode: "acceptEdits" } });
    await settle(harness);
    socket.listener.onClose(1006);
    await settle(harness);
    await harness.clock.advance(1_000);
    await settle(harness);
    const id = sink.events[0]?.data["environment"];
    expect(sink.events.map(({ data }) => data)).toEqual([
      {
        deviceId: "device-a",
        connectionId: null,
        environment: expect.objectContaining({ deviceId: "device-a", connectionName: "name of device-a" }),
      },
      {
        deviceId: "device-a",
        connectionId,
        environment: { id: expect.any(String), deviceId: "device-a", connectedAt: expect.any(Number), connectionId },
      },
      {
        deviceId: "device-a",
        connectionId,
        environment: { id: expect.any(String), deviceId: "device-a", currentMode: "acceptEdits" },
      },
      {
        deviceId: "device-a",
        connectionId: null,
        environment: { id: expect.any(String), deviceId: "device-a", connectedAt: null, connectionId: null },
      },
    ]);
    expect(Object.keys(id as object)).not.toContain("userId");
    expect(Object.keys(id as object)).not.toContain("podId");
  });

  test("a device that was connected before anybody read events is offline in its first event", async () => {
    const harness = createHarness();
    const { socket } = await harness.connect("device-a");
    await harness.clock.advance(2_000);
    await settle(harness);
    const sink = await listen(harness);
    socket.listener.onClose(1006);
    await settle(harness);
    const missing = { currentMode: null, displayName: null, metadata: null, sendProblem: null, tags: null };
    expect(sink.events.map(({ data }) => data["environment"])).toEqual([
      expect.objectContaining({ deviceId: "device-a", connectedAt: null, connectionId: null, ...missing }),
    ]);
  });

  test("an unchanged report causes no event, and constant changes cause one event a second", async () => {
    const harness = createHarness();
    const { socket } = await harness.connect("device-a");
    const sink = await listen(harness);
    for (let index = 0; index < 50; index += 1) {
      socket.say({ type: "update_device_status", device_status: { current_working_directory: `/work/${index}` } });
      socket.say({ type: "update_device_status", device_status: { current_working_directory: `/work/${index}` } });
      await harness.clock.advance(100);
      await settle(harness);
    }
    await harness.clock.advance(2_000);
    await settle(harness);
    expect(sink.events.length).toBeGreaterThanOrEqual(5);
    expect(sink.events.length).toBeLessThanOrEqual(7);
    expect(sink.events.at(-1)?.data["environment"]).toMatchObject({ metadata: { workingDirectory: "/work/49" } });
  });
});

describe("events of changed and removed devices", () => {
  test("labels and a removal are events, even of an offline device", async () => {
    const harness = createHarness();
    await harness.register("device-a");
    await harness.clock.advance(2_000);
    await settle(harness);
    const sink = await listen(harness);
    const { devices } = harness.server;
    await devices.label("acme", "device-a", { displayName: "Ada's box", tags: ["ci"] }, () => true);
    await settle(harness);
    await devices.remove("acme", "device-a", () => true);
    await settle(harness);
    expect(sink.events.map(({ data }) => data)).toMatchObject([
      { connectionId: null, environment: { displayName: "Ada's box", tags: ["ci"] } },
      { connectionId: null, removed: true, environment: { deviceId: "device-a" } },
    ]);
  });

  test("a device that another process removes while it is connected is removed in an event", async () => {
    const store = createSqliteEnvironmentStore(openSqlite(":memory:"));
    const harness = createHarness({ store });
    await harness.register("device-a");
    const sink = await listen(harness);
    await harness.connect("device-a");
    await settle(harness);
    await store.removeDevice("acme", "device-a", () => true, null);
    for (let second = 0; second < 4; second += 1) {
      await harness.clock.advance(1_000);
      await settle(harness);
    }
    harness.server.closeEnded(() => true);
    await settle(harness);
    await harness.clock.advance(2_000);
    await settle(harness);
    expect(sink.events.at(-1)?.data).toMatchObject({ removed: true, environment: { deviceId: "device-a" } });
  });
});

describe("events of approvals", () => {
  test("a request for permission is an event for keys with the scope approve and without a maximum mode", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await harness.connect("device-a");
    const approver = { ...anyone, scopes: new Set([...anyone.scopes, "approve"] as const) };
    const sinks = [
      await listen(harness, { principal: approver }),
      await listen(harness),
      await listen(harness, { principal: { ...approver, maxMode: "standard" } }),
      await listen(harness, { principal: { ...approver, agentIds: ["agent-2"] } }),
    ];
    socket.ask("call-1");
    await settle(harness);
    const approvals = sinks.map(({ events }) => events.filter(({ type }) => type === "approval"));
    expect(approvals.map(({ length }) => length)).toEqual([1, 0, 0, 0]);
    expect(approvals[0]?.[0]?.data).toMatchObject({
      deviceId: "device-a",
      connectionId,
      change: "requested",
      approval: { id: "call-1", tool: "Bash", deviceId: "device-a", conversationId: "default", input: {} },
    });
  });
});

describe("events of messages and output", () => {
  test("each state of a message is an event, without the text of the turn", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await harness.connect("device-a");
    const sink = await listen(harness);
    const sending = harness.send(connectionId);
    await settle(harness);
    socket.acknowledge();
    await sending;
    const runtime = { agent_id: "agent-1", conversation_id: "default" };
    socket.say({ type: "update_loop_status", loop_status: { status: "PROCESSING_API_RESPONSE" }, runtime });
    socket.say(delta(1));
    socket.say({ type: "turn_finished", stop_reason: "end_turn", runtime });
    await settle(harness);
    const messages = sink.events.filter(({ type }) => type === "message").map(({ data }) => data["message"]);
    expect(messages.map((message) => (message as { state: string }).state)).toEqual([
      "received",
      "sent",
      "accepted",
      "running",
      "finished",
    ]);
    expect(JSON.stringify(messages)).not.toContain("text 1");
    expect(typesOf(sink)).not.toContain("output");
  });

  test("output arrives in the order of the device and without repeats, for readers with the scope view", async () => {
    const harness = createHarness();
    const { connectionId, socket } = await harness.connect("device-a");
    const sink = await listen(harness, { principal: viewer, include: "output" });
    for (let index = 1; index <= 20; index += 1) {
      socket.say(delta(index));
      if (index % 3 === 0) socket.say(delta(index - 1));
    }
    await settle(harness);
    const output = sink.events.filter(({ type }) => type === "output");
    expect(output[0]?.data).toEqual({
      deviceId: "device-a",
      connectionId,
      agentId: "agent-1",
      conversationId: "default",
      delta: { message_type: "assistant_message", id: "msg-1", content: "text 1" },
    });
    expect(output.map(({ data }) => (data["delta"] as { content: string }).content)).toEqual(
      Array.from({ length: 20 }, (_, index) => `text ${index + 1}`),
    );
  });

  test("output that is too costly to parse is omitted and reported once, and the device stays connected", async () => {
    const harness = createHarness();
    const { socket } = await harness.connect("device-a");
    const sink = await listen(harness, { principal: viewer, include: "output" });
    const nested: unknown = JSON.parse("[".repeat(64) + "]".repeat(64));
    const shown = ["short", "[".repeat(80)];
    for (const [index, content] of ["x".repeat(maxParsedLength), nested, ...shown].entries())
      socket.say(delta(index, { delta: { message_type: "tool_return_message", content } }));
    await settle(harness);
    const output = sink.events.filter(({ type }) => type === "output");
    expect(output.map(({ data }) => data["delta"])).toEqual(
      shown.map((content) => ({ message_type: "tool_return_message", content })),
    );
    expect(harness.events.filter(({ type }) => type === "frame_ignored")).toHaveLength(2);
    expect(socket.closes).toEqual([]);
  });

  test("output without the scope view is 403", async () => {
    const harness = createHarness();
    await expect(openStream(harness, { include: "output" })).rejects.toThrow("insufficient_scope");
  });

  test("nothing is stored for a tenant without event readers, and output only while somebody reads output", async () => {
    const store = createSqliteEnvironmentStore(openSqlite(":memory:"));
    const harness = createHarness({ store });
    const { socket } = await harness.connect("device-a");
    socket.say(delta(1));
    await settle(harness);
    expect(await store.readChangeLog()).toMatchObject({ lastPosition: 0 });
    await listen(harness);
    socket.say(delta(2));
    socket.say({ type: "update_device_status", device_status: { current_permission_mode: "acceptEdits" } });
    await settle(harness);
    expect(await store.readChangeLog()).toMatchObject({ lastPosition: 1 });
  });
});

describe("resuming", () => {
  test("a reader that resumes at a restarted server misses nothing and receives nothing twice", async () => {
    const store = createSqliteEnvironmentStore(openSqlite(":memory:"));
    const first = createHarness({ store });
    const device = await first.connect("device-a");
    const before = await listen(first, { principal: viewer, include: "output" });
    for (let index = 1; index <= 300; index += 1) device.socket.say(delta(index));
    await settle(first);
    const received = before.events.slice(0, 120);
    const second = createHarness({ store, clock: first.clock });
    const after = await listen(second, {
      principal: viewer,
      include: "output",
      lastEventId: received.at(-1)?.id ?? "",
    });
    const socket = await second.open(device.connectionId);
    for (let index = 301; index <= 320; index += 1) socket.say(delta(index));
    await settle(second);
    const output = [...received, ...after.events].filter(({ type }) => type === "output");
    expect(output.map(({ data }) => (data["delta"] as { content: string }).content)).toEqual(
      Array.from({ length: 320 }, (_, index) => `text ${index + 1}`),
    );
  });

  test("after a crash, a device that does not come back is reported as offline", async () => {
    const store = createSqliteEnvironmentStore(openSqlite(":memory:"));
    const first = createHarness({ store });
    const device = await first.connect("device-a");
    await first.connect("device-b");
    const before = await listen(first);
    const second = createHarness({ store, clock: first.clock });
    const after = await listen(second, { lastEventId: before.lastEventId });
    const socket = await second.open(device.connectionId);
    await second.clock.advance(60_000);
    socket.say({ type: "ping" });
    await second.clock.advance(onlineWindowMs - 60_000);
    await settle(second);
    const offline = after.events.map(({ data }) => data).filter(({ connectionId }) => connectionId === null);
    expect(offline.map(({ environment }) => environment)).toEqual([
      { id: expect.any(String), deviceId: "device-b", connectionId: null, connectedAt: null },
    ]);
  });

  test("a reader that never received an event resumes from the id at the start of the stream", async () => {
    const harness = createHarness();
    const { socket } = await harness.connect("device-a");
    const before = await listen(harness);
    await before.cancel();
    socket.say({ type: "update_device_status", device_status: { current_permission_mode: "acceptEdits" } });
    await settle(harness);
    const after = await listen(harness, { lastEventId: before.lastEventId });
    expect(typesOf(after)).toEqual(["environment"]);
  });

  test.each([
    ["of another log", "0".repeat(44)],
    ["of an earlier version", "5be1c3f0a7d2e964.2f.mkq0x1c8"],
  ])("an id %s results in a gap and then new events", async (_what, lastEventId) => {
    const harness = createHarness();
    const { socket } = await harness.connect("device-a");
    const sink = await listen(harness, { lastEventId });
    socket.say({ type: "update_device_status", device_status: { current_permission_mode: "acceptEdits" } });
    await settle(harness);
    expect(typesOf(sink)).toEqual(["gap", "environment"]);
    expect(sink.events[0]?.data).toEqual({ reason: "unknown" });
  });

  test("an id that is too long or has other characters is 400", async () => {
    const harness = createHarness();
    for (const lastEventId of ["no id", "0".repeat(129)])
      await expect(openStream(harness, { lastEventId })).rejects.toThrow("last-event-id");
  });

  test("an id older than all stored events results in a gap", async () => {
    const harness = createHarness();
    const first = await listen(harness);
    await first.cancel();
    await harness.clock.advance(24 * 3_600_000);
    const second = await listen(harness, { lastEventId: first.lastEventId });
    expect(second.events.map(({ data }) => data)).toEqual([{ reason: "expired" }]);
  });
});

describe("limits of streams", () => {
  test("a heartbeat keeps a stream open, and advances its reader past events that it may not see", async () => {
    const harness = createHarness();
    const { socket } = await harness.connect("device-a");
    const sink = await listen(harness, { principal: { ...anyone, deviceIds: ["device-b"] } });
    const before = sink.lastEventId;
    socket.say({ type: "update_device_status", device_status: { current_permission_mode: "acceptEdits" } });
    await settle(harness);
    await harness.clock.advance(eventHeartbeatMs);
    await settle(harness);
    expect(sink.events).toEqual([]);
    expect(sink.comments).toBe(1);
    expect(sink.lastEventId).not.toBe(before);
  });

  test("a key has a limited number of streams, and a stream that ends frees its place", async () => {
    const harness = createHarness();
    const streams = [];
    for (let count = 0; count < maxStreamsPerKey; count += 1) streams.push(await openStream(harness));
    await expect(openStream(harness)).rejects.toThrow("rate_limited");
    await openStream(harness, { principal: { ...anyone, keyId: "key-2" } });
    await streams[0]?.stream.cancel();
    await openStream(harness);
  });

  test("a reader that does not read is disconnected, its memory is limited, and the others receive everything", async () => {
    const harness = createHarness();
    const { socket } = await harness.connect("device-a");
    const options = { principal: viewer, include: "output" } as const;
    const slow = await openStream(harness, options);
    const slowReader = slow.stream.getReader();
    await slowReader.read();
    const sink = await listen(harness, options);
    const content = "x".repeat(100_000);
    const count = Math.ceil((4 * maxUnreadBytesPerReader) / content.length);
    for (let index = 1; index <= count; index += 1) {
      socket.say(delta(index, { delta: { message_type: "assistant_message", content } }));
      await settle(harness);
    }
    await harness.clock.advance(maxUnreadMs + eventHeartbeatMs);
    expect(await slow.ended).toBe("unread");
    await expect(slowReader.read()).rejects.toThrow("unread");
    expect(sink.events.filter(({ type }) => type === "output")).toHaveLength(count);
  });

  test("a reader receives a burst larger than the memory limit, without a gap and without repeats", async () => {
    const harness = createHarness();
    const { socket } = await harness.connect("device-a");
    const sink = await listen(harness, { principal: viewer, include: "output" });
    const text = "x".repeat(40_000);
    const contents = Array.from({ length: 60 }, (_, index) => `${index} ${text}`);
    for (const [index, content] of contents.entries()) {
      socket.say(delta(index, { delta: { message_type: "assistant_message", content } }));
    }
    for (let round = 0; round < 10; round += 1) await settle(harness);
    socket.say(delta(60, { delta: { message_type: "assistant_message", content: "the end" } }));
    await settle(harness);
    const received = sink.events.filter(({ type }) => type === "output");
    expect(received.map(({ data }) => (data["delta"] as { content: string }).content)).toEqual([
      ...contents,
      "the end",
    ]);
  });

  test("closing the server ends the streams after the last events", async () => {
    const harness = createHarness();
    await harness.connect("device-a");
    const sink = await listen(harness);
    await harness.clock.advance(2_000);
    await harness.server.close();
    await settle(harness);
    expect(sink.end).toBe("closed");
    expect(sink.events.at(-1)?.data).toMatchObject({ connectionId: null });
    await expect(openStream(harness)).rejects.toThrow("shutting_down");
  });
});
