import type { Clock } from "@letta-environments/platform";
import fc from "fast-check";
import { expect, test } from "vitest";
import { intervalUsOf } from "../src/rate-limit/decide.ts";
import type { RateLimitCheck } from "../src/rate-limit/policy.ts";
import type { RateLimitStore } from "../src/rate-limit/store.ts";
import { createMovableClock } from "./support/create-movable-clock.ts";
import { createRateLimitModel } from "./support/rate-limit-model.ts";
import { testCheck } from "./support/test-check.ts";

/** The guarantees of a store, and how thoroughly to test them. */
export interface RateLimitStorePromises {
  /** `monotonic`: changes of the wall clock have no effect. `wall`: if it is set back, keys count as empty at most. */
  readonly time: "monotonic" | "wall";
  /** Number of generated runs of each property. */
  readonly runs: number;
}

const leaseIds = ["a", "b", "c"];
const policies = [
  { name: "burst", limit: 7, windowMs: 1_000, burst: 3 },
  { name: "minute", limit: 30, windowMs: 60_000, burst: 45 },
  { name: "daily", limit: 1_000, windowMs: 86_400_000, burst: 20 },
  { name: "shadow", limit: 2, windowMs: 1_000, burst: 2, mode: "shadow" },
  { name: "leases", unit: "concurrent-requests", limit: 2, windowMs: 5_000 },
] as const;

const checksArbitrary: fc.Arbitrary<readonly RateLimitCheck[]> = fc
  .uniqueArray(fc.constantFrom(...policies), { minLength: 1, maxLength: policies.length })
  .chain((chosen) =>
    fc.tuple(
      ...chosen.map((policy) =>
        fc
          .tuple(fc.constantFrom("x", "y"), fc.constantFrom(1, 1, 1, 2, 0, 4))
          .map(([key, cost]) => testCheck(policy, key, cost)),
      ),
    ),
  );

const moveArbitrary: fc.Arbitrary<number> = fc.oneof(
  { weight: 4, arbitrary: fc.integer({ min: 0, max: 400 }) },
  { weight: 1, arbitrary: fc.integer({ min: 0, max: 100_000 }) },
  { weight: 1, arbitrary: fc.integer({ min: -5_000, max: -1 }) },
  { weight: 1, arbitrary: fc.constantFrom(-86_400_000, 86_400_000) },
);

const stepArbitrary = fc.oneof(
  {
    weight: 5,
    arbitrary: fc.record({
      kind: fc.constant("take" as const),
      moveMs: moveArbitrary,
      checks: checksArbitrary,
      leaseId: fc.constantFrom(...leaseIds),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("probe" as const),
      moveMs: moveArbitrary,
      checks: checksArbitrary,
      leaseId: fc.constantFrom(...leaseIds),
    }),
  },
  {
    weight: 1,
    arbitrary: fc.record({
      kind: fc.constant("release" as const),
      moveMs: moveArbitrary,
      checks: checksArbitrary,
      leaseId: fc.constantFrom(...leaseIds),
    }),
  },
);

/** Tests properties that hold for every sequence of requests and of changes of the clock. */
export function describeRateLimitGuarantees(
  { time, runs }: RateLimitStorePromises,
  open: (clock: Clock) => RateLimitStore,
): void {
  test("the store decides every sequence of requests like the reference model, even when the wall clock is set back", async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(stepArbitrary, { maxLength: 40 }), async (steps) => {
        const clock = createMovableClock();
        const store = open(clock);
        const model = createRateLimitModel();
        for (const { kind, moveMs, checks, leaseId } of steps) {
          clock.move(moveMs);
          if (kind === "release") {
            await store.release(leaseId, checks);
            model.release(leaseId, checks);
            continue;
          }
          const probe = kind === "probe";
          const nowUs = (time === "monotonic" ? clock.monotonic() : clock.now()) * 1_000;
          const outcome = await store.take(checks, { probe, leaseId });
          expect({
            admitted: outcome.admitted,
            allowed: outcome.decisions.map(({ allowed }) => allowed),
            remaining: outcome.decisions.map(({ remaining }) => remaining),
          }).toEqual(model.take(checks, nowUs, probe, leaseId));
        }
      }),
      { numRuns: runs },
    );
  });

  test("the store never admits more than the burst plus what is regained, and admits again once one unit is regained", async () => {
    const courseArbitrary = fc.array(fc.record({ moveMs: moveArbitrary, cost: fc.integer({ min: 1, max: 3 }) }), {
      maxLength: 60,
    });
    await fc.assert(
      fc.asyncProperty(fc.constantFrom(...policies.slice(0, 3)), courseArbitrary, async (changes, steps) => {
        const clock = createMovableClock();
        const store = open(clock);
        const options = { probe: false, leaseId: null };
        const { policy } = testCheck(changes);
        const intervalUs = intervalUsOf(policy);
        const admitted: { readonly atUs: number; readonly costUs: number }[] = [];
        for (const { moveMs, cost } of steps) {
          clock.move(moveMs);
          const outcome = await store.take([{ policy, key: "x", cost }], options);
          if (outcome.admitted) admitted.push({ atUs: clock.monotonic() * 1_000, costUs: cost * intervalUs });
        }
        for (const [index, { atUs }] of admitted.entries()) {
          let spentUs = 0;
          for (const later of admitted.slice(index)) {
            spentUs += later.costUs;
            expect(spentUs).toBeLessThanOrEqual(policy.burst * intervalUs + later.atUs - atUs);
          }
        }
        const check = { policy, key: "x", cost: 1 };
        const { constrained } = await store.take([check], options);
        clock.move(constrained?.retryAfterMs ?? Infinity);
        expect(constrained?.retryAfterMs).toBeLessThanOrEqual(Math.ceil(intervalUs / 1_000));
        expect((await store.take([check], options)).admitted || constrained?.allowed).toBe(true);
      }),
      { numRuns: runs },
    );
  });
}
