import { openSqlite } from "@letta-environments/platform/node";
import { createVirtualClock, type VirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { openSendStore } from "../../test/support/open-send-store.ts";
import { testReservation, testScope } from "../../test/support/test-reservation.ts";
import { createMemoryIdempotencyStore } from "../adapters/memory/idempotency-store.ts";
import type { IdempotencyStore } from "./store.ts";
import { createUnreleased } from "./unreleased.ts";

test("a failing store is called less and less often, and no longer after ten minutes", async () => {
  const clock = createVirtualClock();
  const triedAtMs: number[] = [];
  const work: Promise<unknown>[] = [];
  const release = (): Promise<never> => {
    triedAtMs.push(clock.monotonic());
    return Promise.reject(new Error("no response"));
  };
  const unreleased = createUnreleased({ store: { release }, clock, background: (given) => void work.push(given) });
  const startMs = clock.monotonic();
  unreleased.add(testReservation(["a"], { sendId: "send-1" }));
  await clock.advance(3_600_000);
  await Promise.all(work);
  expect(triedAtMs.length).toBeLessThan(40);
  expect(Math.max(...triedAtMs) - startMs).toBeLessThanOrEqual(630_000);
  expect(unreleased.has("send-1")).toBe(true);
});

test("a limited number of sends is remembered, and the oldest is no longer released", async () => {
  const clock = createVirtualClock();
  const tried = new Set<string>();
  const release = ({ sendId }: { readonly sendId: string }): Promise<void> => {
    tried.add(sendId);
    return Promise.resolve();
  };
  const unreleased = createUnreleased({ store: { release }, clock, background: () => undefined }, 2);
  for (const sendId of ["send-1", "send-2", "send-3"]) unreleased.add(testReservation(["a"], { sendId }));
  await clock.advance(1_000);
  expect([...tried]).toEqual(["send-2", "send-3"]);
  expect(["send-1", "send-2", "send-3"].map(unreleased.has)).toEqual([false, true, true]);
});

test.each([
  ["in memory", createMemoryIdempotencyStore],
  ["in SQLite", (clock: VirtualClock): IdempotencyStore => openSendStore(openSqlite(":memory:"), clock)],
] as const)("a repeat that has another id first frees those of the send, %s", async (_where, open) => {
  const clock = createVirtualClock();
  const store = open(clock);
  const unreleased = createUnreleased({ store, clock, background: () => undefined });
  const first = testReservation(["a", "b"]);
  await store.reserve(first);
  unreleased.add(first);
  const repeat = testReservation(["new", "b"]);
  expect(await unreleased.releaseLeftovers(repeat, await store.find(testScope, ["new", "b"]))).toEqual([]);
  expect(await store.reserve(repeat)).toEqual({ kind: "reserved" });
});
