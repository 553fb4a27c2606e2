import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { describeIdempotencyStore } from "../../../test/idempotency-store-contract.ts";
import { type Reservation, retentionMs } from "../../idempotency/store.ts";
import { createMemoryIdempotencyStore } from "./idempotency-store.ts";

describeIdempotencyStore(
  "in memory",
  { time: "monotonic", countsIds: true, isShared: true, runs: 200 },
  (clock, capacity) => ({
    store: createMemoryIdempotencyStore(clock, capacity === undefined ? {} : { maxIds: capacity }),
  }),
);

const scope = { tenant: "t", environmentId: "env", agentId: "a", conversationId: "default" };
const result = { status: 200, headers: {}, body: "{}" };

function reservation(name: string, change: Partial<Reservation> = {}): Reservation {
  return {
    sendId: `send-${name}`,
    scope,
    entries: [{ id: `message:${name}`, fingerprint: "f" }],
    connectionId: "conn-1",
    connection: { environmentId: "env", deviceId: "device-1", connectionName: "box" },
    leaseMs: 1_000,
    ...change,
  };
}

test("a full store refuses new sends and forgets no id until the oldest have been kept for 24 hours", async () => {
  const clock = createVirtualClock();
  const store = createMemoryIdempotencyStore(clock, { maxIds: 2 });
  expect(await store.reserve(reservation("1"))).toEqual({ kind: "reserved" });
  await clock.advance(1);
  expect(await store.reserve(reservation("2"))).toEqual({ kind: "reserved" });
  await clock.advance(retentionMs - 2);
  expect(await store.reserve(reservation("3"))).toEqual({ kind: "full" });
  expect(await store.find(scope, ["message:1", "message:2"])).toHaveLength(2);
  await clock.advance(1);
  expect(await store.reserve(reservation("3"))).toEqual({ kind: "reserved" });
  expect(await store.find(scope, ["message:1", "message:2"])).toMatchObject([{ id: "message:2" }]);
});

test("a store that is full of long results refuses new sends, and keeps the result that filled it", async () => {
  const store = createMemoryIdempotencyStore(createVirtualClock(), { maxResultLength: 10 });
  const first = reservation("1");
  await store.reserve(first);
  await store.settle(first, { ...result, body: "0123456789" });
  expect(await store.reserve(reservation("2"))).toEqual({ kind: "full" });
  expect(await store.find(scope, ["message:1"])).toMatchObject([{ state: { kind: "finished" } }]);
});

test("a change of the wall clock forgets nothing", async () => {
  const clock = createVirtualClock();
  const store = createMemoryIdempotencyStore(clock);
  await store.reserve(reservation("1"));
  clock.shiftWallTime(2 * retentionMs);
  expect(await store.find(scope, ["message:1"])).toMatchObject([{ state: { kind: "in_progress" } }]);
});

test("a released id can be used again, and its connection is still remembered", async () => {
  const store = createMemoryIdempotencyStore(createVirtualClock());
  const first = reservation("1");
  await store.reserve(first);
  await store.release(first);
  await store.settle(first, result);
  expect(await store.find(scope, ["message:1"])).toEqual([]);
  expect(await store.findConnection("t", "conn-1")).toEqual(first.connection);
  expect(await store.findConnection("other", "conn-1")).toBe(null);
});

test("a result stays when the send is settled or released again", async () => {
  const store = createMemoryIdempotencyStore(createVirtualClock());
  const first = reservation("1");
  await store.reserve(first);
  await store.settle(first, result);
  await store.settle(first, { ...result, status: 500 });
  await store.release(first);
  expect(await store.find(scope, ["message:1"])).toMatchObject([{ state: { kind: "finished", result } }]);
});
