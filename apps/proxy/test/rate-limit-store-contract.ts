import type { Clock } from "@letta-environments/platform";
import { describe, expect, test } from "vitest";
import type { RateLimitCheck } from "../src/rate-limit/policy.ts";
import type { RateLimitOutcome, RateLimitStore } from "../src/rate-limit/store.ts";
import { describeRateLimitGuarantees, type RateLimitStorePromises } from "./rate-limit-store-properties.ts";
import { createMovableClock, type MovableClock } from "./support/create-movable-clock.ts";
import { testCheck } from "./support/test-check.ts";

/** Tests the contract of {@link RateLimitStore}; `open` returns an empty store that uses this clock. */
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
    test("the store admits exactly 10 of 200 simultaneous requests under a limit of 10", async () => {
      const { take } = setUp();
      expect(await admittedOf(Array.from({ length: 200 }, () => take(testCheck())))).toBe(10);
    });

    test("the store gives 200 simultaneous requests exactly 10 leases under a limit of 10", async () => {
      const { lease } = setUp();
      const check = testCheck({ unit: "concurrent-requests" });
      const granted = await Promise.all(Array.from({ length: 200 }, (_, index) => lease(`lease-${index}`, check)));
      expect(granted.filter(Boolean)).toHaveLength(10);
    });

    test("the store charges nothing on any policy when one refuses", async () => {
      const { take, probe, lease } = setUp();
      const wide = testCheck({ name: "wide", limit: 100, burst: 100 });
      const narrow = testCheck({ name: "narrow", limit: 1, burst: 1 });
      const leases = testCheck({ name: "leases", unit: "concurrent-requests" });
      expect((await take(wide, narrow)).admitted).toBe(true);
      for (let attempt = 0; attempt < 20; attempt++) expect(await lease("late", wide, leases, narrow)).toBe(false);
      expect((await probe(wide, leases)).decisions.map(({ remaining }) => remaining)).toEqual([99, 10]);
    });

    test("the store reports for each policy what remains, when all of it is regained and when to retry", async () => {
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

    test("the store admits a refused request after its reported wait, and not before", async () => {
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

    test("the store always refuses a request that costs more than the whole burst, however large its cost", async () => {
      const { take, probe } = setUp();
      for (const cost of [11, Number.MAX_SAFE_INTEGER]) {
        const { admitted, constrained } = await take(testCheck({}, "somebody", cost));
        expect({ admitted, constrained }).toMatchObject({ admitted: false, constrained: { retryAfterMs: null } });
      }
      expect((await probe(testCheck())).decisions).toMatchObject([{ remaining: 10 }]);
    });

    test("the store admits a request without cost although nothing remains", async () => {
      const { take } = setUp();
      await take(testCheck({}, "somebody", 10));
      expect(await take(testCheck({}, "somebody", 0))).toMatchObject({ admitted: true, decisions: [{ remaining: 0 }] });
    });

    test("a probe reports the same as a request would, and charges nothing", async () => {
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

    test("after a smaller burst has replaced a larger one, a refused request is admitted once the wait that a probe reported is over", async () => {
      const { clock, take, probe } = setUp();
      await take(testCheck({ windowMs: 3_600_000 }, "somebody", 10));
      const changed = testCheck({ windowMs: 6_000, burst: 2 });
      for (const retryAfterMs of [600, 400, 200]) {
        expect((await probe(changed)).decisions).toMatchObject([{ allowed: false, remaining: 0, retryAfterMs }]);
        clock.move(200);
      }
      expect((await probe(changed)).decisions).toMatchObject([{ allowed: true, remaining: 1, resetMs: 600 }]);
      expect([(await take(changed)).admitted, (await take(changed)).admitted]).toEqual([true, false]);
    });

    test("a shadow policy is charged and reports its decision, but refuses no request and affects no other policy", async () => {
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

    test("the store counts keys and policies separately, whatever their names", async () => {
      const { take } = setUp();
      const keys = ["a", "A", "", "{a}", "a:b", "'\"\\", "naïve ☂", "a\nb", "1:a", "__proto__"];
      const checks = keys.flatMap((key) =>
        ["p", "p2", "{p}", "constructor"].map((name) => testCheck({ name, limit: 1, burst: 1 }, key)),
      );
      for (const check of checks) expect((await take(check)).admitted).toBe(true);
      for (const check of checks) expect((await take(check)).admitted).toBe(false);
    });

    test("a released lease is free at once; releasing it again, or an unknown one, frees nothing else", async () => {
      const { lease, store } = setUp();
      const check = testCheck({ unit: "concurrent-requests", limit: 2 });
      const other = testCheck({ unit: "concurrent-requests", limit: 2 }, "other");
      expect([await lease("a", check), await lease("b", check), await lease("c", check)]).toEqual([true, true, false]);
      await store.release("unknown", [check]);
      await store.release("a", [other]);
      expect(await lease("c", check)).toBe(false);
      await store.release("a", [check, testCheck()]);
      await store.release("a", [check]);
      expect([await lease("c", check), await lease("d", check)]).toEqual([true, false]);
    });

    test("an unreleased lease expires, and a lease that is taken again is renewed without counting twice", async () => {
      const { clock, lease } = setUp();
      const check = testCheck({ unit: "concurrent-requests", limit: 2 });
      expect([await lease("long", check), await lease("crashed", check)]).toEqual([true, true]);
      clock.move(999);
      expect([await lease("new", check), await lease("long", check)]).toEqual([false, true]);
      clock.move(1);
      expect([await lease("new", check), await lease("newer", check)]).toEqual([true, false]);
    });

    test("a lease expires on time although the wall clock is set back", async () => {
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
