import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSqlite } from "@letta-environments/platform/node";
import type { Principal } from "@letta-environments/schema";
import { readEvents } from "@letta-environments/testkit";
import { expect, onTestFinished, test } from "vitest";
import { type ChangeLimits, ChangesLostError } from "../src/index.ts";
import { maxFormerSeries } from "../src/change-log.ts";
import { changeRetryMs, eventHeartbeatMs } from "../src/limits.ts";
import { createSqliteEnvironmentStore } from "../src/sqlite.ts";
import { deltaFrame as delta, listen, openStream, settleEvents as settle } from "./support/event-streams.ts";
import { anyone, createHarness, type Harness } from "./support/harness.ts";

const viewer: Principal = { ...anyone, scopes: new Set([...anyone.scopes, "view"] as const) };
const small: ChangeLimits = {
  events: { durationMs: 86_400_000, maxSize: 1_000_000 },
  output: { durationMs: 3_600_000, maxSize: 20_000 },
};

function createSmallHarness(): Harness {
  return createHarness({ store: createSqliteEnvironmentStore(openSqlite(":memory:"), { limits: { changes: small } }) });
}

const textOf = (data: Record<string, unknown>): unknown => (data["delta"] as { content: string }).content;

test("a reader so slow that unread changes are removed receives a gap and then the remaining changes", async () => {
  const harness = createSmallHarness();
  const { socket } = await harness.connect("device-a");
  const stream = await openStream(harness, { principal: viewer, include: "output" });
  for (let index = 1; index <= 300; index += 1) {
    socket.say(delta(index));
    if (index % 20 === 0) await settle(harness);
  }
  const sink = readEvents(stream.stream);
  await settle(harness);
  const [gap, ...rest] = sink.events.filter(({ type }) => type !== "environment");
  expect([gap?.type, gap?.data]).toEqual(["gap", { reason: "output_expired" }]);
  expect(rest.length).toBeGreaterThan(10);
  expect(rest.map(({ data }) => textOf(data))).toEqual(rest.map((_, index) => `text ${301 - rest.length + index}`));
  socket.say(delta(301));
  await settle(harness);
  expect(sink.events.map(({ type }) => type).filter((type) => type === "gap")).toHaveLength(1);
  expect(textOf(sink.events.at(-1)?.data ?? {})).toBe("text 301");
});

test("a reader that resumes before removed output receives one gap, and then the events", async () => {
  const harness = createSmallHarness();
  const { socket } = await harness.connect("device-a");
  const before = await listen(harness, { principal: viewer, include: "output" });
  await before.cancel();
  for (let index = 1; index <= 300; index += 1) {
    socket.say(delta(index));
    if (index % 20 === 0) await settle(harness);
  }
  const options = { principal: viewer, include: "output", lastEventId: before.lastEventId } as const;
  const after = await listen(harness, options);
  const gaps = after.events.filter(({ type }) => type === "gap");
  expect(gaps.map(({ data }) => data)).toEqual([{ reason: "output_expired" }]);
});

test("after a crash, a reader of output that began shortly before it receives no gap", async () => {
  const store = createSqliteEnvironmentStore(openSqlite(":memory:"));
  const first = createHarness({ store });
  const device = await first.connect("device-a");
  await first.clock.advance(30_000);
  const options = { principal: viewer, include: "output" } as const;
  const before = await listen(first, options);
  const second = createHarness({ store, clock: first.clock });
  const socket = await second.open(device.connectionId);
  const after = await listen(second, { ...options, lastEventId: before.lastEventId });
  socket.say(delta(1));
  await settle(second);
  const again = await listen(second, { ...options, lastEventId: after.lastEventId });
  socket.say(delta(2));
  await settle(second);
  expect(again.events.map(({ type, data }) => [type, data["reason"]])).toEqual([["output", undefined]]);
});

test("a reader that resumes behind output of more than an hour ago receives none of it, even if it is still stored", async () => {
  const inner = createSqliteEnvironmentStore(openSqlite(":memory:"));
  const harness = createHarness({ store: { ...inner, pruneChanges: async () => false } });
  const { socket } = await harness.connect("device-a");
  const options = { principal: viewer, include: "output" } as const;
  const before = await listen(harness, options);
  await before.cancel();
  socket.say(delta(1));
  socket.say({ type: "update_device_status", device_status: { current_permission_mode: "standard" } });
  await settle(harness);
  for (let passed = 0; passed < 3_600_000; passed += 60_000) {
    socket.say({ type: "ping" });
    await harness.clock.advance(60_000);
  }
  socket.say(delta(2));
  await settle(harness);
  const after = await listen(harness, { ...options, lastEventId: before.lastEventId });
  expect(after.events.map(({ type }) => type)).toEqual(["gap", "environment", "output"]);
  expect([after.events[0]?.data, textOf(after.events[2]?.data ?? {})]).toEqual([
    { reason: "output_expired" },
    "text 2",
  ]);
});

test("changes that are removed do not affect a reader of events without output", async () => {
  const harness = createSmallHarness();
  const { socket } = await harness.connect("device-a");
  await listen(harness, { principal: viewer, include: "output" });
  const stream = await openStream(harness);
  for (let index = 1; index <= 300; index += 1) {
    socket.say(delta(index));
    if (index % 20 === 0) await settle(harness);
  }
  const sink = readEvents(stream.stream);
  socket.say({ type: "update_device_status", device_status: { current_permission_mode: "standard" } });
  await settle(harness);
  const types = sink.events.map(({ type }) => type);
  expect(types).toContain("environment");
  expect(types).not.toContain("gap");
});

/** A harness whose log of changes can lose them, and can hold a page after it was read. */
function createLosingHarness() {
  const inner = createSqliteEnvironmentStore(openSqlite(":memory:"));
  const state = { isLost: false, held: null as Promise<void> | null };
  const harness = createHarness({
    store: {
      ...inner,
      async appendChanges(...values) {
        if (state.isLost) throw new ChangesLostError("the server has lost its data");
        return inner.appendChanges(...values);
      },
      async restartChangeLog(epoch) {
        await inner.restartChangeLog(epoch);
        state.isLost = false;
      },
      async readChanges(selection) {
        const page = await inner.readChanges(selection);
        await state.held;
        return page;
      },
    },
  });
  return {
    ...harness,
    state,
    async lose(note: () => void) {
      state.isLost = true;
      note();
      await settle(harness);
      await harness.clock.advance(changeRetryMs);
      await settle(harness);
    },
  };
}

test("after a loss, a lagging reader receives ids from which it can resume without a gap", async () => {
  const harness = createLosingHarness();
  const { socket } = await harness.connect("device-a");
  const stream = await openStream(harness, { principal: viewer, include: "output" });
  await harness.lose(() => socket.say(delta(1)));
  for (let index = 2; index <= 200; index += 1) {
    socket.say(delta(index, { delta: { message_type: "assistant_message", id: "msg-1", content: "x".repeat(4_000) } }));
    if (index % 20 === 0) await settle(harness);
  }
  const sink = readEvents(stream.stream);
  await settle(harness);
  expect(sink.events.filter(({ type }) => type === "gap").map(({ data }) => data)).toEqual([{ reason: "lost" }]);
  await sink.cancel();
  socket.say(delta(201));
  await settle(harness);
  const resumed = await listen(harness, { principal: viewer, include: "output", lastEventId: sink.lastEventId });
  expect(resumed.events.map(({ data }) => textOf(data))).toEqual(["text 201"]);
});

test("a change that is stored while a reader waits for the previous page is not missed", async () => {
  const harness = createLosingHarness();
  const { socket } = await harness.connect("device-a");
  const first = await listen(harness, { principal: viewer, include: "output" });
  await first.cancel();
  socket.say(delta(1));
  await settle(harness);
  let release = (): void => undefined;
  harness.state.held = new Promise<void>((resolve) => (release = resolve));
  const sink = await listen(harness, { principal: viewer, include: "output", lastEventId: first.lastEventId });
  socket.say(delta(2));
  await settle(harness);
  release();
  await settle(harness);
  expect(sink.events.map(({ data }) => textOf(data))).toEqual(["text 1", "text 2"]);
});

test("a page that was read before a loss is not sent after the gap", async () => {
  const harness = createLosingHarness();
  const { socket } = await harness.connect("device-a");
  const first = await listen(harness, { principal: viewer, include: "output" });
  await first.cancel();
  socket.say(delta(1));
  await settle(harness);
  let release = (): void => undefined;
  harness.state.held = new Promise<void>((resolve) => (release = resolve));
  const sink = await listen(harness, { principal: viewer, include: "output", lastEventId: first.lastEventId });
  await harness.lose(() => socket.say(delta(2)));
  release();
  await settle(harness);
  expect(sink.events.map(({ data }) => ("delta" in data ? textOf(data) : data))).toEqual([
    { reason: "lost" },
    "text 2",
  ]);
});

test("a server that starts on an older copy of the data sends a gap only to readers that had received later events", async () => {
  const directory = mkdtempSync(join(tmpdir(), "event-gaps-"));
  onTestFinished(() => rmSync(directory, { recursive: true }));
  const database = openSqlite(join(directory, "server.sqlite"));
  const first = createHarness({ store: createSqliteEnvironmentStore(database) });
  const device = await first.connect("device-a");
  const options = { principal: viewer, include: "output" } as const;
  const before = await listen(first, options);
  device.socket.say(delta(1));
  await settle(first);
  const ofBoth = before.lastEventId;
  database.copyTo(join(directory, "copy.sqlite"));
  for (const index of [2, 3, 4]) device.socket.say(delta(index));
  await settle(first);
  const ofFirst = before.lastEventId;
  database.close();

  const copy = openSqlite(join(directory, "copy.sqlite"));
  onTestFinished(() => copy.close());
  const second = createHarness({ store: createSqliteEnvironmentStore(copy), clock: first.clock });
  const socket = await second.open(device.connectionId);
  await listen(second, options);
  // So many that the positions of the other history exist again.
  for (let index = 11; index <= 20; index += 1) socket.say(delta(index));
  await settle(second);
  const continued = await listen(second, { ...options, lastEventId: ofBoth });
  const output = continued.events.filter(({ type }) => type === "output");
  expect(output.map(({ data }) => textOf(data))).toEqual(
    Array.from({ length: 10 }, (_, index) => `text ${index + 11}`),
  );
  expect(continued.events.map(({ type }) => type)).not.toContain("gap");
  const lost = await listen(second, { ...options, lastEventId: ofFirst });
  expect(lost.events).toMatchObject([{ type: "gap", data: { reason: "unknown" } }]);
});

test("readers can resume at any of several servers that share a log, whichever server stored the events or started last", async () => {
  const first = createHarness();
  const second = createHarness({ store: first.store, clock: first.clock, podId: "pod-2" });
  const options = { principal: viewer, include: "output" } as const;
  const { socket } = await first.connect("device-a");
  const before = await listen(first, options);
  const other = await second.connect("device-b");
  other.socket.say(delta(1));
  await settle(second);
  socket.say(delta(2));
  await settle(first);
  await before.cancel();
  socket.say(delta(3));
  await settle(first);
  for (const server of [first, second]) {
    const after = await listen(server, { ...options, lastEventId: before.lastEventId });
    expect(after.events.map(({ type, data }) => [type, data["reason"] ?? textOf(data)])).toEqual([
      ["output", "text 3"],
    ]);
  }
});

test("a start that stores no events does not use up one of the remembered epochs", async () => {
  const first = createHarness();
  const { socket } = await first.connect("device-a");
  const options = { principal: viewer, include: "output" } as const;
  const before = await listen(first, options);
  socket.say(delta(1));
  await settle(first);
  let last = first;
  for (let start = 0; start <= maxFormerSeries; start += 1) {
    last = createHarness({ store: first.store, clock: first.clock });
    await listen(last, options);
  }
  const after = await listen(last, { ...options, lastEventId: before.lastEventId });
  expect(after.events).toEqual([]);
});

test("a heartbeat prepared before a new epoch has an id that resumes after the epoch's first event", async () => {
  const first = createHarness();
  const device = await first.connect("device-a");
  const options = { principal: viewer, include: "output" } as const;
  await listen(first, options);
  const { readChangeLog } = first.store;
  let held = Promise.resolve();
  const store = {
    ...first.store,
    async readChangeLog() {
      const state = await readChangeLog();
      await held;
      return state;
    },
  };
  const second = createHarness({ store, clock: first.clock });
  const reader = await listen(second, options);
  let release = (): void => undefined;
  held = new Promise((resolve) => (release = resolve));
  await second.clock.advance(eventHeartbeatMs);
  const socket = await second.open(device.connectionId);
  socket.say(delta(1));
  await settle(second);
  const { lastEventId } = reader;
  await second.clock.advance(1);
  release();
  await settle(second);
  expect(reader.lastEventId).not.toBe(lastEventId);
  const after = await listen(second, { ...options, lastEventId: reader.lastEventId });
  expect(after.events).toEqual([]);
});

test("a reader that has received only heartbeats can resume after the last one, even before the very first event", async () => {
  const harness = createHarness();
  const reader = await listen(harness);
  const { lastEventId } = reader;
  await harness.clock.advance(eventHeartbeatMs);
  await settle(harness);
  expect(reader.lastEventId).not.toBe(lastEventId);
  expect((await listen(harness, { lastEventId: reader.lastEventId })).events).toEqual([]);
});
