/** Readers that begin at the oldest event. */
import type { Principal } from "@letta-environments/schema";
import { expect, test } from "vitest";
import { type EventSink, readEvents } from "@letta-environments/testkit";
import { deltaFrame, listen, openStream, settleEvents } from "./support/event-streams.ts";
import { anyone, createHarness, type Harness } from "./support/harness.ts";

const viewer: Principal = { ...anyone, scopes: new Set([...anyone.scopes, "view"] as const) };
const fromOldest = { principal: viewer, include: "output", lastEventId: "oldest" } as const;

const typesOf = (sink: EventSink): readonly string[] => sink.events.map(({ type }) => type);

/** A device connects and says something. */
async function speak(harness: Harness, deviceId: string): Promise<void> {
  const { socket } = await harness.connect(deviceId);
  socket.say(deltaFrame(1));
  await settleEvents(harness);
}

test("a reader that starts at the oldest event receives the same events as an earlier reader, and then new ones", async () => {
  const harness = createHarness();
  const early = await listen(harness, { principal: viewer, include: "output" });
  await speak(harness, "device-a");
  const late = await listen(harness, fromOldest);
  expect(typesOf(early)).toContain("output");
  expect(late.events).toEqual(early.events);
  await speak(harness, "device-b");
  expect(late.events).toEqual(early.events);
  const count = early.events.length;
  const again = await listen(harness, { ...fromOldest, lastEventId: late.events[0]?.id ?? "" });
  expect(again.events).toEqual(early.events.slice(1, count));
});

test("a reader that starts at the oldest event receives only visible events of the requested device", async () => {
  const harness = createHarness();
  const early = await listen(harness, { principal: viewer, include: "output" });
  for (const deviceId of ["device-a", "device-b"]) await speak(harness, deviceId);
  const own = early.events.filter(({ data }) => data["deviceId"] === "device-b");
  expect((await listen(harness, { ...fromOldest, deviceId: "device-b" })).events).toEqual(own);
  const withoutView = await listen(harness, { lastEventId: "oldest", deviceId: "device-b" });
  expect(typesOf(withoutView)).toEqual(own.map(({ type }) => type).filter((type) => type !== "output"));
  expect((await listen(harness, { ...fromOldest, principal: { ...viewer, tenant: "other" } })).events).toEqual([]);
});

/** Counts the pages that are read from now on. */
function countReads({ store }: Harness): () => number {
  const { readChanges } = store;
  let reads = 0;
  Object.assign(store, {
    readChanges(...values: Parameters<typeof readChanges>) {
      reads += 1;
      return readChanges(...values);
    },
  });
  return () => reads;
}

/** Runs everything that waits for no timer. */
async function runTurns(): Promise<void> {
  for (let turn = 0; turn < 20; turn += 1) await new Promise((resolve) => setImmediate(resolve));
}

test("of the readers of a tenant one reads a page before other work runs, and the readers of another tenant do not wait for them", async () => {
  const harness = createHarness();
  const change = { environmentId: "env-1", deviceId: "d", connectionName: "d", tags: [], agentId: null, data: "{}" };
  for (const [tenant, count] of [["acme", 450] as const, ["other", 1] as const])
    await harness.store.appendChanges(Array(count).fill({ ...change, tenant, kind: "message" }), harness.clock.now());
  const reads = countReads(harness);
  const open = async (principal: Principal): Promise<EventSink> =>
    readEvents((await openStream(harness, { lastEventId: "oldest", principal })).stream);
  const sinks = await Promise.all(Array.from({ length: 10 }, () => open(anyone)));
  await runTurns();
  expect(reads()).toBe(1);
  const other = await open({ ...anyone, tenant: "other" });
  await runTurns();
  expect([reads(), other.events.length]).toEqual([2, 1]);
  await settleEvents(harness);
  expect([reads(), ...sinks.map(({ events }) => events.length)]).toEqual([31, ...sinks.map(() => 450)]);
});

test.each([
  { events: "none of its events among those of others", own: 1, hidden: 450, foreign: 1_000, pages: 4 },
  { events: "events on every page, and takes them at once", own: 1_000, hidden: 0, foreign: 0, pages: 5 },
])("while a reader finds $events, other work runs after each page", async ({ own, hidden, foreign, pages }) => {
  const harness = createHarness();
  const other = { environmentId: "env-1", deviceId: "d", connectionName: "d", tags: [], agentId: null, data: "{}" };
  const change = { ...other, tenant: "acme", kind: "message" } as const;
  const append = (count: number, members: object): Promise<unknown> =>
    harness.store.appendChanges(Array(count).fill({ ...change, ...members }), harness.clock.now());
  await append(hidden, {});
  await append(foreign, { tenant: "other" });
  await append(own, { connectionName: "own" });
  const reads = countReads(harness);
  const principal = { ...anyone, connectionNames: ["own"] };
  const sink = readEvents((await openStream(harness, { lastEventId: "oldest", principal })).stream);
  await runTurns();
  expect(reads()).toBe(1);
  await settleEvents(harness);
  expect(reads()).toBe(pages);
  expect(sink.events).toHaveLength(own);
});

test("a reader that begins at the oldest event receives no output that is older than an hour, no event that is older than a day, and no gap", async () => {
  const harness = createHarness();
  const early = await listen(harness, { principal: viewer, include: "output" });
  await speak(harness, "device-a");
  await harness.clock.advance(3_600_000);
  const late = await listen(harness, fromOldest);
  expect(late.events).toEqual(early.events.filter(({ type }) => type !== "output"));
  await harness.clock.advance(24 * 3_600_000);
  expect((await listen(harness, fromOldest)).events).toEqual([]);
});
