import { createVirtualClock } from "@letta-environments/testkit";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { type Admission, type CircuitBreaker, createCircuitBreaker } from "./circuit-breaker.ts";

const cooldownMs = 1_000;

function admitted(breaker: CircuitBreaker, extraCooldownMs?: number): Admission {
  const admission = breaker.admit(extraCooldownMs);
  if (admission === null) throw new Error("nothing was admitted");
  return admission;
}

/** A breaker that has just opened, with the call that it admitted before. */
function openBreaker() {
  const clock = createVirtualClock();
  const breaker = createCircuitBreaker(clock, { cooldownMs });
  const earlier = admitted(breaker);
  expect(breaker.recordFailure(admitted(breaker))).toBe(true);
  return { clock, breaker, earlier };
}

describe("circuit breakers", () => {
  test("a circuit breaker opens after consecutive failures only: a success in between starts the count again", () => {
    const breaker = createCircuitBreaker(createVirtualClock(), { cooldownMs, failureThreshold: 3 });
    const results = (
      ["recordFailure", "recordFailure", "recordSuccess", "recordFailure", "recordFailure"] as const
    ).map((record) => breaker[record](admitted(breaker)));
    expect(results).toEqual([false, false, null, false, false]);
    expect(breaker.retryAfterMs()).toBeNull();
    expect(breaker.recordFailure(admitted(breaker))).toBe(true);
    expect(breaker.admit()).toBeNull();
    expect(breaker.retryAfterMs()).toBe(1_000);
  });

  test("a circuit breaker admits one trial after the cool-down, whose success closes it and says how long it was open", async () => {
    const { clock, breaker } = openBreaker();
    await clock.advance(999);
    expect(breaker.admit()).toBeNull();
    await clock.advance(1);
    const trial = admitted(breaker);
    expect([trial.isTrial, breaker.admit()]).toEqual([true, null]);
    await clock.advance(20);
    expect(breaker.recordSuccess(trial)).toBe(1_020);
    expect(admitted(breaker).isTrial).toBe(false);
  });

  test("a circuit breaker starts another cool-down when a trial fails, and lets another call try when a trial is abandoned", async () => {
    const { clock, breaker } = openBreaker();
    await clock.advance(1_000);
    breaker.recordAbandoned(admitted(breaker));
    const trial = admitted(breaker);
    await clock.advance(500);
    expect(breaker.recordFailure(trial)).toBe(false);
    expect(breaker.retryAfterMs()).toBe(1_000);
  });

  test("a circuit breaker is not blocked by a trial that never ends, and the late failure of that trial changes nothing", async () => {
    const { clock, breaker } = openBreaker();
    await clock.advance(1_000);
    const first = admitted(breaker);
    await clock.advance(1_000);
    const second = admitted(breaker);
    await clock.advance(400);
    breaker.recordFailure(first);
    breaker.recordAbandoned(first);
    expect(breaker.retryAfterMs()).toBe(600);
    expect(breaker.recordSuccess(second)).toBe(2_400);
    expect(breaker.recordFailure(first)).toBe(false);
    expect(breaker.retryAfterMs()).toBeNull();
  });

  test("a circuit breaker ignores late results of calls that started before it opened", async () => {
    const { clock, breaker, earlier } = openBreaker();
    expect(breaker.recordSuccess(earlier)).toBeNull();
    await clock.advance(500);
    expect(breaker.recordFailure(earlier)).toBe(false);
    expect(breaker.recordFailure(null)).toBe(false);
    expect(breaker.retryAfterMs()).toBe(500);
  });

  test("a circuit breaker leaves the trial to calls with a shorter timeout", async () => {
    const { clock, breaker } = openBreaker();
    await clock.advance(1_500);
    expect(breaker.admit(1_000)).toBeNull();
    expect(admitted(breaker).isTrial).toBe(true);
    await clock.advance(2_000);
    expect(admitted(breaker, 1_000).isTrial).toBe(true);
  });

  test("a circuit breaker admits at most one call in each cool-down while every call fails, in any order of events", async () => {
    const step = fc.tuple(fc.integer({ min: 0, max: 1_500 }), fc.integer({ min: 0, max: 2_000 }), fc.boolean());
    await fc.assert(
      fc.asyncProperty(fc.array(step, { maxLength: 60 }), async (steps) => {
        const { clock, breaker } = openBreaker();
        let lastMs = 0;
        const pending: Admission[] = [];
        for (const [delayMs, extraCooldownMs, endsNow] of steps) {
          await clock.advance(delayMs);
          const trial = breaker.admit(extraCooldownMs);
          if (trial !== null) {
            expect(clock.monotonic() - lastMs).toBeGreaterThanOrEqual(cooldownMs);
            lastMs = clock.monotonic();
            pending.push(trial);
          }
          const ended = endsNow ? pending.shift() : undefined;
          if (ended !== undefined) breaker.recordFailure(ended);
        }
      }),
      { numRuns: 50 },
    );
  });
});
