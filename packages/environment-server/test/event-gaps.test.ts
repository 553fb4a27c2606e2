import { openSqlite } from "@letta-environments/platform/node";
import type { Principal } from "@letta-environments/schema";
import { readEvents } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import type { ChangeLimits } from "../src/index.ts";
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

test("a reader that is too slow, so that changes which it has not read are removed, receives a gap and then the ones that are left", async () => {
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

test("a reader that resumes behind removed output receives one gap, and reads the events", async () => {
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

test("changes that are removed do not concern a reader of events without output", async () => {
  const harness = createSmallHarness();
  const { socket } = await harness.connect("device-a");
  await listen(harness, { principal: viewer, include: "output" });
  const stream = await openStream(harness);
  for (let index = 1; index <= 300; index += 1) {
    socket.say(delta(index));
    if (index % 20 === 0) await settle(harness);
  }
  const sink = readEvents(stream.stream);
  await settle(harness);
  expect(sink.events.map(({ type }) => type)).not.toContain("gap");
});
