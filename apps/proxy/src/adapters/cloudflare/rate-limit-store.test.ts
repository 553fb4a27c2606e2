import { openSqlite } from "@letta-environments/platform/node";
import fc from "fast-check";
import { expect, test } from "vitest";
import { createMovableClock } from "../../../test/support/create-movable-clock.ts";
import { testCheck, testPolicy } from "../../../test/support/test-check.ts";
import { intervalUsOf } from "../../rate-limit/decide.ts";
import type { RateLimitCheck, RateLimitPolicy } from "../../rate-limit/policy.ts";
import type { RateLimitOutcome } from "../../rate-limit/store.ts";
import { createSqliteRateLimitStore } from "../sqlite/rate-limit-store.ts";
import { createDurableRateLimitStore } from "./rate-limit-store.ts";

const busyPolicy = testPolicy({ limit: 100, windowMs: 1_000, burst: 1_000 });
const options = { probe: false, leaseId: null };

/** Units by the time of their decision, in microseconds. */
interface Admitted {
  readonly atUs: number;
  readonly units: number;
}

/** An object, and isolates that call it. Calls are decided, and their responses delivered, when a test says so or at once. */
function setUp({ isolates = 1, waits = false } = {}) {
  const clock = createMovableClock();
  const counter = createSqliteRateLimitStore(openSqlite(":memory:"), clock, null);
  /** The next steps of calls in flight: decide them, then deliver their responses. */
  const inFlight: (() => void)[] = [];
  const admitted: Admitted[] = [];
  let calls = 0;

  const note = (checks: readonly RateLimitCheck[], outcome: RateLimitOutcome): void => {
    const [check] = checks;
    if (outcome.admitted) admitted.push({ atUs: clock.monotonic() * 1_000, units: check?.cost ?? 0 });
  };
  const step = (): Promise<void> => new Promise((resolve) => (waits ? inFlight.push(resolve) : resolve()));

  const stores = Array.from({ length: isolates }, () =>
    createDurableRateLimitStore({
      objectOf: () => ({
        async take(checks, takeOptions, requested = []) {
          calls += 1;
          await step();
          const outcome = counter.takeAndGrant(checks, takeOptions, requested);
          if (!takeOptions.probe) note(checks, outcome);
          await step();
          return structuredClone(outcome);
        },
        release: () => Promise.resolve(),
      }),
      clock,
      background: () => undefined,
    }),
  );
  function take(checks: readonly RateLimitCheck[], isolate = 0): RateLimitOutcome | Promise<RateLimitOutcome> {
    const store = stores[isolate];
    if (store === undefined) throw new RangeError("no such isolate");
    const outcome = store.take(checks, options);
    if (!(outcome instanceof Promise)) note(checks, outcome);
    return outcome;
  }
  return {
    ...{ clock, admitted, take, counter },
    nextStep: () => inFlight.shift()?.(),
    takeCalls() {
      const taken = calls;
      calls = 0;
      return taken;
    },
  };
}

const check = (cost = 1, policy = busyPolicy): RateLimitCheck => ({ policy, key: "somebody", cost });

/** Expects that no span of time has more units than burst and regained units. */
function expectWithin(policy: RateLimitPolicy, admitted: readonly Admitted[]): void {
  const intervalUs = intervalUsOf(policy);
  for (const [index, { atUs }] of admitted.entries()) {
    let units = 0;
    for (const later of admitted.slice(index)) {
      units += later.units;
      expect(units * intervalUs).toBeLessThanOrEqual(policy.burst * intervalUs + later.atUs - atUs);
    }
  }
}

test("no time span exceeds the policy's units, however many units isolates reserve in advance and however late responses are", async () => {
  const cost = fc.constantFrom(1, 1, 1, 2, 30);
  const step = fc.oneof(
    { weight: 6, arbitrary: fc.record({ kind: fc.constant("take"), isolate: fc.nat(1), cost }) },
    { weight: 8, arbitrary: fc.record({ kind: fc.constant("step") }) },
    { weight: 1, arbitrary: fc.record({ kind: fc.constant("move"), ms: fc.constantFrom(1, 100, 899, 3_000) }) },
  );
  const policy = fc.constantFrom(
    testPolicy({ limit: 300, windowMs: 60_000, burst: 60 }),
    testPolicy({ limit: 600, windowMs: 60_000, burst: 100 }),
  );
  await fc.assert(
    fc.asyncProperty(policy, fc.array(step, { minLength: 20, maxLength: 200 }), async (limited, steps) => {
      const { clock, admitted, take, nextStep } = setUp({ isolates: 2, waits: true });
      for (const each of steps) {
        if ("ms" in each) clock.move(each.ms);
        else if ("cost" in each) void take([check(each.cost, limited)], each.isolate);
        else nextStep();
        for (let turn = 0; turn < 4; turn++) await Promise.resolve();
      }
      expectWithin(limited, admitted);
    }),
    { numRuns: 200 },
  );
});

test("units that are spent late stay within the limit even when a whole burst was regained since they were reserved", async () => {
  const policy = testPolicy({ limit: 300, windowMs: 60_000, burst: 60 });
  const { clock, admitted, take } = setUp({ isolates: 2 });
  // The second request takes a unit in advance, and all three are regained before it is spent.
  for (let request = 0; request < 2; request++) await take([check(1, policy)]);
  clock.move(899);
  for (let request = 0; request < 60; request++) await take([check(1, policy)], 1);
  expect(take([check(1, policy)])).not.toBeInstanceOf(Promise);
  expectWithin(policy, admitted);
});

test("a busy caller needs about a call a second, and a caller with a request a second needs one for each", async () => {
  const { clock, take, takeCalls } = setUp();
  for (let request = 0; request < 200; request++) {
    await take([check()]);
    clock.move(20);
  }
  expect(takeCalls()).toBeLessThan(20);
  clock.move(5_000);
  for (let request = 0; request < 10; request++) {
    await take([check()]);
    clock.move(2_000);
  }
  expect(takeCalls()).toBe(10);
});

test("a request is decided locally only if each of its policies has a local allowance, and small or slow limits have none", async () => {
  const others = [
    testCheck({ name: "small", limit: 40, burst: 40 }),
    testCheck({ name: "daily", limit: 1_000, windowMs: 86_400_000, burst: 1_000 }),
    testCheck({ name: "running", unit: "concurrent-requests", limit: 100 }),
  ];
  for (const other of others) {
    const { take, takeCalls } = setUp();
    for (let request = 0; request < 30; request++) await take([check(), other]);
    expect(takeCalls()).toBe(30);
  }
});

test("only the object decides the requests of a caller that has spent half of its burst", async () => {
  const { clock, take, counter, takeCalls } = setUp();
  for (let request = 0; request < 20; request++) await take([check()]);
  expect(takeCalls()).toBeLessThan(20);
  clock.move(1_000);
  counter.take([check(500)], options);
  takeCalls();
  for (let request = 0; request < 20; request++) await take([check()]);
  expect(takeCalls()).toBe(20);
});

test("each response reports a lower remaining quota than the previous one until units are regained, whichever isolate decides", async () => {
  const { take, takeCalls } = setUp();
  let last = Infinity;
  for (let request = 0; request < 60; request++) {
    const { decisions } = await take([check()]);
    expect(decisions[0]?.remaining).toBeLessThan(last);
    last = decisions[0]?.remaining ?? 0;
  }
  expect(takeCalls()).toBeLessThan(20);
});

test("a local allowance that is not spent within a second expires, so an idle isolate calls the object again", async () => {
  const { clock, take } = setUp();
  for (let request = 0; request < 10; request++) await take([check()]);
  expect(take([check()])).not.toBeInstanceOf(Promise);
  clock.move(1_000);
  expect(take([check()])).toBeInstanceOf(Promise);
});
