import type { Clock } from "@letta-environments/platform";
import { describe, expect, test } from "vitest";
import type { RateLimitCheck } from "../src/rate-limit/policy.ts";
import type { RateLimitOutcome, RateLimitStore } from "../src/rate-limit/store.ts";
import { describeRateLimitGuarantees, type RateLimitStorePromises } from "./rate-limit-store-properties.ts";
import { createMovableClock, type MovableClock } from "./support/create-movable-clock.ts";
import { testCheck } from "./support/test-check.ts";

/** What every {@link RateLimitStore} must do; `open` gives an empty store that goes by this clock. */
export function describeRateLimitStore(
  name: string,
  promises: RateLimitStorePromises,
  open: (clock: Clock) => RateLimitStore,
): void {
  interface Subject {
    readonly clock: MovableClock;
    readonly store: RateLimitStore;
    take(...checks: readonly RateLimitCheck[]): Promise<RateLimitOutcome>;
    probe(...checks: readonly RateLimitCheck[]): Promise<RateLimitOutcome>;
    lease(leaseId: string, ...checks: readonly RateLimitCheck[]): Promise<boolean>;
  }

  function setUp(): Subject {
    const clock = createMovableClock();
    const store = open(clock);
    return {
      clock,
      store,
      take: async (...checks) => store.take(checks, { probe: false, leaseId: null }),
      probe: async (...checks) => store.take(checks, { probe: true, leaseId: null }),
      lease: async (leaseId, ...checks) => (await store.take(checks, { probe: false, leaseId })).admitted,
    };
  }

  async function admittedOf(requests: readonly Promise<RateLimitOutcome>[]): Promise<number> {
    return (await Promise.all(requests)).filter(({ admitted }) => admitted).length;
  }

  describe(`the rate limit store ${name}`, () => {
    test("admits exactly 10 of 200 requests at once under a limit of 10", async () => {
      const { take } = setUp();
      expect(await admittedOf(Array.from({ length: 200 }, () => take(testCheck())))).toBe(10);
    });

    test("gives 200 requests at once exactly 10 leases under a limit of 10", async () => {
      const { lease } = setUp();
      const check = testCheck({ unit: "concurrent-requests" });
      const granted = await Promise.all(Array.from({ length: 200 }, (_, index) => lease(`lease-${index}`, check)));
      expect(granted.filter(Boolean)).toHaveLength(10);
    });

    test("charges nothing on any policy when one refuses", async () => {
      const { take, probe, lease } = setUp();
      const wide = testCheck({ name: "wide", limit: 100, burst: 100 });
      const narrow = testCheck({ name: "narrow", limit: 1, burst: 1 });
      const leases = testCheck({ name: "leases", unit: "concurrent-requests" });
      expect((await take(wide, narrow)).admitted).toBe(true);
      for (let attempt = 0; attempt < 20; attempt++) expect(await lease("late", wide, leases, narrow)).toBe(false);
      expect((await probe(wide, leases)).decisions.map(({ remaining }) => remaining)).toEqual([99, 10]);
    });

    test("tells for each policy what is left, when all of it is back and when to try again", async () => {
      const { take } = setUp();
      const burst = testCheck({ name: "burst" });
      const daily = testCheck({ name: "daily", limit: 1_000, burst: 1_000, windowMs: 86_400_000 });
      expect((await take(burst, daily)).decisions).toMatchObject([
        { allowed: true, remaining: 9, resetMs: 100, retryAfterMs: 0, degraded: null, policy: burst.policy },
        { allowed: true, remaining: 999, resetMs: 86_400, retryAfterMs: 0, degraded: null, policy: daily.policy },
      ]);
      for (let request = 1; request < 10; request++) await take(burst, daily);
      const refused = await take(burst, daily);
      expect(refused).toMatchObject({ admitted: false, degraded: null, constrained: { policy: { name: "burst" } } });
      expect(refused.decisions).toMatchObject([
        { allowed: false, remaining: 0, resetMs: 1_000, retryAfterMs: 100 },
        { allowed: true, remaining: 990, resetMs: 864_000, retryAfterMs: 0 },
      ]);
    });

    test("admits a refused request after the time it told, and not before", async () => {
      const { clock, take } = setUp();
      const check = testCheck({}, "somebody", 4);
      await take(check);
      await take(check);
      const { decisions } = await take(check);
      expect(decisions).toMatchObject([{ allowed: false, retryAfterMs: 200 }]);
      clock.move(199);
      expect((await take(check)).admitted).toBe(false);
      clock.move(1);
      expect((await take(check)).admitted).toBe(true);
    });

    test("refuses a request that costs more than a whole burst for ever, however large its cost", async () => {
      const { take, probe } = setUp();
      for (const cost of [11, Number.MAX_SAFE_INTEGER]) {
        const { admitted, constrained } = await take(testCheck({}, "somebody", cost));
        expect({ admitted, constrained }).toMatchObject({ admitted: false, constrained: { retryAfterMs: null } });
      }
      expect((await probe(testCheck())).decisions).toMatchObject([{ remaining: 10 }]);
    });

    test("a request that costs nothing passes an empty bucket and tells what is left", async () => {
      const { take } = setUp();
      await take(testCheck({}, "somebody", 10));
      expect(await take(testCheck({}, "somebody", 0))).toMatchObject({ admitted: true, decisions: [{ remaining: 0 }] });
    });

    test("a probe tells what a request would be told, and charges nothing", async () => {
      const { take, probe, store } = setUp();
      const checks = [testCheck(), testCheck({ name: "leases", unit: "concurrent-requests", limit: 1 })];
      for (let attempt = 0; attempt < 20; attempt++)
        expect((await probe(...checks)).decisions).toMatchObject([{ remaining: 10 }, { remaining: 1 }]);
      await store.take(checks, { probe: false, leaseId: "first" });
      expect(await probe(...checks)).toMatchObject({
        admitted: false,
        decisions: [
          { allowed: true, remaining: 9 },
          { allowed: false, remaining: 0 },
        ],
      });
      expect((await take(testCheck())).decisions).toMatchObject([{ remaining: 8 }]);
    });

    test("a policy in shadow is charged and says what it would do, but refuses nothing and holds nothing up", async () => {
      const { take } = setUp();
      const enforced = testCheck({ name: "enforced" });
      const shadow = testCheck({ name: "shadow", mode: "shadow", limit: 2, burst: 2 });
      const outcomes = [];
      for (let request = 0; request < 11; request++) outcomes.push(await take(enforced, shadow));
      expect(outcomes.map(({ admitted }) => admitted)).toEqual([...Array.from({ length: 10 }, () => true), false]);
      expect(outcomes.map(({ decisions }) => decisions[1]?.allowed)).toEqual([
        true,
        true,
        ...Array.from({ length: 9 }, () => false),
      ]);
      expect(outcomes.every(({ constrained }) => constrained?.policy.name === "enforced")).toBe(true);
    });

    test("keeps keys and policies apart, whatever they are called", async () => {
      const { take } = setUp();
      const keys = ["a", "A", "", "{a}", "a:b", "'\"\\", "naïve ☂", "a\nb", "1:a", "__proto__"];
      const checks = keys.flatMap((key) =>
        ["p", "p2", "{p}", "constructor"].map((name) => testCheck({ name, limit: 1, burst: 1 }, key)),
      );
      for (const check of checks) expect((await take(check)).admitted).toBe(true);
      for (const check of checks) expect((await take(check)).admitted).toBe(false);
    });

    test("a lease that is given back is free at once; giving it back twice or unasked frees nothing else", async () => {
      const { lease, store } = setUp();
      const check = testCheck({ unit: "concurrent-requests", limit: 2 });
      const other = testCheck({ unit: "concurrent-requests", limit: 2 }, "other");
      expect([await lease("a", check), await lease("b", check), await lease("c", check)]).toEqual([
        true,
        true,
        false,
      ]);
      await store.release("unknown", [check]);
      await store.release("a", [other]);
      expect(await lease("c", check)).toBe(false);
      await store.release("a", [check, testCheck()]);
      await store.release("a", [check]);
      expect([await lease("c", check), await lease("d", check)]).toEqual([true, false]);
    });

    test("a lease that nobody gives back ends with its time, and one that is taken again lasts longer without counting twice", async () => {
      const { clock, lease } = setUp();
      const check = testCheck({ unit: "concurrent-requests", limit: 2 });
      expect([await lease("long", check), await lease("crashed", check)]).toEqual([true, true]);
      clock.move(999);
      expect([await lease("new", check), await lease("long", check)]).toEqual([false, true]);
      clock.move(1);
      expect([await lease("new", check), await lease("newer", check)]).toEqual([true, false]);
    });

    test("a lease outlives its time by nothing when the clock is set back", async () => {
      const { clock, lease } = setUp();
      const check = testCheck({ unit: "concurrent-requests", limit: 1 });
      await lease("crashed", check);
      clock.move(-86_400_000);
      expect(await lease("new", check)).toBe(false);
      clock.move(1_000);
      expect(await lease("new", check)).toBe(true);
    });

    describeRateLimitGuarantees(promises, open);
  });
}
