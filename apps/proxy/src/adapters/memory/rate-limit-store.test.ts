import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { describeRateLimitStore } from "../../../test/rate-limit-store-contract.ts";
import { testCheck } from "../../../test/support/test-check.ts";
import { createMemoryRateLimitStore } from "./rate-limit-store.ts";

const options = { probe: false, leaseId: null };

describeRateLimitStore("in memory", { time: "monotonic", runs: 500 }, createMemoryRateLimitStore);

test("the memory store decides synchronously", () => {
  const store = createMemoryRateLimitStore(createVirtualClock());
  expect(store.take([testCheck()], options)).toMatchObject({ admitted: true });
});

test.each([-86_400_000, 86_400_000])(
  "setting the wall clock by %i ms neither restores spent units nor delays their recovery",
  async (byMs) => {
    const clock = createVirtualClock();
    const store = createMemoryRateLimitStore(clock);
    const lease = testCheck({ name: "leases", unit: "concurrent-requests", limit: 1 });
    const take = (leaseId: string) => store.take([testCheck({}, "somebody", 10), lease], { probe: false, leaseId });
    expect(take("first").admitted).toBe(true);
    clock.shiftWallTime(byMs);
    await clock.advance(999);
    expect(take("early").decisions.map(({ allowed }) => allowed)).toEqual([false, false]);
    await clock.advance(1);
    expect(take("in time").admitted).toBe(true);
  },
);

test("the memory store removes idle keys during other requests, without a timer", async () => {
  const clock = createVirtualClock();
  const store = createMemoryRateLimitStore(clock);
  for (let index = 0; index < 1_000; index++) store.take([testCheck({}, `key ${index}`)], options);
  expect([store.size, clock.timerCount]).toEqual([1_000, 0]);
  await clock.advance(1_000);
  for (let index = 0; index < 1_001; index++) store.take([testCheck({}, "busy")], options);
  expect(store.size).toBe(1);
});

test("the memory store removes unreleased leases during other requests once they have expired", async () => {
  const clock = createVirtualClock();
  const store = createMemoryRateLimitStore(clock);
  const lease = (key: string) => testCheck({ unit: "concurrent-requests" }, key);
  for (let index = 0; index < 100; index++) store.take([lease(`key ${index}`)], { probe: false, leaseId: `${index}` });
  await clock.advance(1_000);
  for (let index = 0; index < 300; index++) {
    store.take([lease("busy")], { probe: false, leaseId: "busy" });
    store.release("busy", [lease("busy")]);
  }
  expect(store.size).toBe(0);
});

test("a full store never exceeds its capacity, and evicts no key before others that have spent less", () => {
  const store = createMemoryRateLimitStore(createVirtualClock(), 100);
  const spent = testCheck({ burst: 10 }, "spent", 10);
  expect(store.take([spent], options).admitted).toBe(true);
  // An attacker who wants the spent key evicted sends requests with many other keys, each of which spends little.
  for (let index = 0; index < 10_000; index++) store.take([testCheck({}, `flood ${index}`)], options);
  expect(store.size).toBe(100);
  expect(store.take([testCheck({}, "spent")], options).admitted).toBe(false);
});

test("a flood of spent keys resets none of them, because evicted keys count as spent", () => {
  const store = createMemoryRateLimitStore(createVirtualClock(), 100);
  const refusedBefore = testCheck({ limit: 1, burst: 1 }, "victim");
  store.take([refusedBefore], options);
  for (let index = 0; index < 1_000; index++)
    store.take([testCheck({ limit: 1, burst: 1 }, `flood ${index}`)], options);
  expect(store.take([refusedBefore], options).admitted).toBe(false);
});

test("a full store admits new keys again once its keys are idle", async () => {
  const clock = createVirtualClock();
  const store = createMemoryRateLimitStore(clock, 100);
  const checkOf = (key: string) => testCheck({ limit: 1, burst: 1 }, key);
  for (let index = 0; index < 1_000; index++) store.take([checkOf(`flood ${index}`)], options);
  expect(store.take([checkOf("new")], options).admitted).toBe(false);
  await clock.advance(1_000);
  expect(store.take([checkOf("new")], options).admitted).toBe(true);
});

test.each([100, 300, 500, 900])(
  "a flood of %i keys costs a new key at most one unit each time that it fills the store",
  (flood) => {
    const store = createMemoryRateLimitStore(createVirtualClock(), 100);
    for (let index = 0; index < flood; index++) store.take([testCheck({}, `flood ${index}`)], options);
    const { decisions } = store.take([testCheck({}, "new")], { probe: true, leaseId: null });
    expect(decisions[0]?.remaining).toBeGreaterThanOrEqual(10 - flood / 100);
  },
);

test("a refused request evicts no key from a full store", () => {
  const store = createMemoryRateLimitStore(createVirtualClock(), 2);
  const checkOf = (key: string) => testCheck({ limit: 1, burst: 1 }, key);
  for (const key of ["a", "b", "c"]) store.take([checkOf(key)], options);
  for (let index = 0; index < 100; index++)
    expect(store.take([checkOf(`refused ${index}`)], options).admitted).toBe(false);
  expect(store.size).toBe(2);
});

test("a policy that is not charged uses no memory, even if other policies of the request are charged", () => {
  const store = createMemoryRateLimitStore(createVirtualClock());
  store.take(
    [testCheck(), testCheck({ name: "free" }, "x", 0), testCheck({ name: "trial", mode: "shadow" }, "x", 11)],
    options,
  );
  expect(store.size).toBe(1);
});
