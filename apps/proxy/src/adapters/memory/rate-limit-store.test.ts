import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { describeRateLimitStore } from "../../../test/rate-limit-store-contract.ts";
import { testCheck } from "../../../test/support/test-check.ts";
import { createMemoryRateLimitStore } from "./rate-limit-store.ts";

const options = { probe: false, leaseId: null };

describeRateLimitStore("in memory", { time: "elapsed", runs: 500 }, createMemoryRateLimitStore);

test("answers at once, not with a promise", () => {
  const store = createMemoryRateLimitStore(createVirtualClock());
  expect(store.take([testCheck()], options)).toMatchObject({ admitted: true });
});

test("keys at rest vanish beside other requests, without a timer", async () => {
  const clock = createVirtualClock();
  const store = createMemoryRateLimitStore(clock);
  for (let index = 0; index < 1_000; index++) store.take([testCheck({}, `key ${index}`)], options);
  expect([store.size, clock.timerCount]).toEqual([1_000, 0]);
  await clock.advance(1_000);
  for (let index = 0; index < 1_001; index++) store.take([testCheck({}, "busy")], options);
  expect(store.size).toBe(1);
});

test("leases that nobody gave back vanish beside other requests", async () => {
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

test("a full store never holds more than its bound, and gives nobody back what was spent", () => {
  const store = createMemoryRateLimitStore(createVirtualClock(), 100);
  const spent = testCheck({ burst: 10 }, "spent", 10);
  expect(store.take([spent], options).admitted).toBe(true);
  // Somebody who wants the spent key forgotten asks with many others, each of which costs little.
  for (let index = 0; index < 10_000; index++) store.take([testCheck({}, `flood ${index}`)], options);
  expect(store.size).toBe(100);
  expect(store.take([testCheck({}, "spent")], options).admitted).toBe(false);
});

test("a flood of spent keys gets none of them forgotten: what is forgotten counts as spent", () => {
  const store = createMemoryRateLimitStore(createVirtualClock(), 100);
  const refusedBefore = testCheck({ limit: 1, burst: 1 }, "victim");
  store.take([refusedBefore], options);
  for (let index = 0; index < 1_000; index++)
    store.take([testCheck({ limit: 1, burst: 1 }, `flood ${index}`)], options);
  expect(store.take([refusedBefore], options).admitted).toBe(false);
});

test("a full store admits new keys as before once those that it holds are at rest", async () => {
  const clock = createVirtualClock();
  const store = createMemoryRateLimitStore(clock, 100);
  const checkOf = (key: string) => testCheck({ limit: 1, burst: 1 }, key);
  for (let index = 0; index < 1_000; index++) store.take([checkOf(`flood ${index}`)], options);
  expect(store.take([checkOf("new")], options).admitted).toBe(false);
  await clock.advance(1_000);
  expect(store.take([checkOf("new")], options).admitted).toBe(true);
});

test.each([100, 300, 500, 900])(
  "a flood of %i keys costs a new one a unit each time that it fills the store anew",
  (flood) => {
    const store = createMemoryRateLimitStore(createVirtualClock(), 100);
    for (let index = 0; index < flood; index++) store.take([testCheck({}, `flood ${index}`)], options);
    const { decisions } = store.take([testCheck({}, "new")], { probe: true, leaseId: null });
    expect(decisions[0]?.remaining).toBeGreaterThanOrEqual(10 - flood / 100);
  },
);

test("a refused request pushes no other key out of a full store", () => {
  const store = createMemoryRateLimitStore(createVirtualClock(), 2);
  const checkOf = (key: string) => testCheck({ limit: 1, burst: 1 }, key);
  for (const key of ["a", "b", "c"]) store.take([checkOf(key)], options);
  for (let index = 0; index < 100; index++)
    expect(store.take([checkOf(`refused ${index}`)], options).admitted).toBe(false);
  expect(store.size).toBe(2);
});

test("a policy on which nothing is charged takes no room, whatever else the request is charged", () => {
  const store = createMemoryRateLimitStore(createVirtualClock());
  store.take(
    [testCheck(), testCheck({ name: "free" }, "x", 0), testCheck({ name: "trial", mode: "shadow" }, "x", 11)],
    options,
  );
  expect(store.size).toBe(1);
});
