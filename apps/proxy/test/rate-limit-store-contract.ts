import type { Clock } from "@letta-environments/platform";
import { describe, expect, test } from "vitest";
import type { RateLimitDemand } from "../src/rate-limit/policy.ts";
import type { RateLimitOutcome, RateLimitStore } from "../src/rate-limit/store.ts";
import { describeRateLimitGuarantees, type RateLimitStorePromises } from "./rate-limit-store-properties.ts";
import { createMovableClock, type MovableClock } from "./support/create-movable-clock.ts";
import { testDemand } from "./support/test-demand.ts";

/** What every {@link RateLimitStore} must do; `open` gives an empty store that goes by this clock. */
export function describeRateLimitStore(
  name: string,
  promises: RateLimitStorePromises,
  open: (clock: Clock) => RateLimitStore,
): void {
  interface Subject {
    readonly clock: MovableClock;
    readonly store: RateLimitStore;
    take(...demands: readonly RateLimitDemand[]): Promise<RateLimitOutcome>;
    probe(...demands: readonly RateLimitDemand[]): Promise<RateLimitOutcome>;
    lease(leaseId: string, ...demands: readonly RateLimitDemand[]): Promise<boolean>;
  }

  function setUp(): Subject {
    const clock = createMovableClock();
    const store = open(clock);
    return {
      clock,
      store,
      take: async (...demands) => store.take(demands, { probe: false, leaseId: null }),
      probe: async (...demands) => store.take(demands, { probe: true, leaseId: null }),
      lease: async (leaseId, ...demands) => (await store.take(demands, { probe: false, leaseId })).admitted,
    };
  }

  async function admittedOf(requests: readonly Promise<RateLimitOutcome>[]): Promise<number> {
    return (await Promise.all(requests)).filter(({ admitted }) => admitted).length;
  }

  describe(`the rate limit store ${name}`, () => {
    test("admits exactly 10 of 200 requests at once under a limit of 10", async () => {
      const { take } = setUp();
      expect(await admittedOf(Array.from({ length: 200 }, () => take(testDemand())))).toBe(10);
    });

    test("gives 200 requests at once exactly 10 leases under a limit of 10", async () => {
      const { lease } = setUp();
      const demand = testDemand({ unit: "concurrent-requests" });
      const granted = await Promise.all(Array.from({ length: 200 }, (_, index) => lease(`lease-${index}`, demand)));
      expect(granted.filter(Boolean)).toHaveLength(10);
    });

    test("charges nothing on any policy when one refuses", async () => {
      const { take, probe, lease } = setUp();
      const wide = testDemand({ name: "wide", limit: 100, burst: 100 });
      const narrow = testDemand({ name: "narrow", limit: 1, burst: 1 });
      const leases = testDemand({ name: "leases", unit: "concurrent-requests" });
      expect((await take(wide, narrow)).admitted).toBe(true);
      for (let attempt = 0; attempt < 20; attempt++) expect(await lease("late", wide, leases, narrow)).toBe(false);
      expect((await probe(wide, leases)).verdicts.map(({ remaining }) => remaining)).toEqual([99, 10]);
    });

    test("tells for each policy what is left, when all of it is back and when to try again", async () => {
      const { take } = setUp();
      const burst = testDemand({ name: "burst" });
      const daily = testDemand({ name: "daily", limit: 1_000, burst: 1_000, windowMs: 86_400_000 });
      expect((await take(burst, daily)).verdicts).toMatchObject([
        { allowed: true, remaining: 9, resetMs: 100, retryAfterMs: 0, degraded: null, policy: burst.policy },
        { allowed: true, remaining: 999, resetMs: 86_400, retryAfterMs: 0, degraded: null, policy: daily.policy },
      ]);
      for (let request = 1; request < 10; request++) await take(burst, daily);
      const refused = await take(burst, daily);
      expect(refused).toMatchObject({ admitted: false, degraded: null, constrained: { policy: { name: "burst" } } });
      expect(refused.verdicts).toMatchObject([
        { allowed: false, remaining: 0, resetMs: 1_000, retryAfterMs: 100 },
        { allowed: true, remaining: 990, resetMs: 864_000, retryAfterMs: 0 },
      ]);
    });

    test("admits a refused request after the time it told, and not before", async () => {
      const { clock, take } = setUp();
      const demand = testDemand({}, "somebody", 4);
      await take(demand);
      await take(demand);
      const { verdicts } = await take(demand);
      expect(verdicts).toMatchObject([{ allowed: false, retryAfterMs: 200 }]);
      clock.move(199);
      expect((await take(demand)).admitted).toBe(false);
      clock.move(1);
      expect((await take(demand)).admitted).toBe(true);
    });

    test("refuses a request that costs more than a whole burst for ever, however large its cost", async () => {
      const { take, probe } = setUp();
      for (const cost of [11, Number.MAX_SAFE_INTEGER]) {
        const { admitted, constrained } = await take(testDemand({}, "somebody", cost));
        expect({ admitted, constrained }).toMatchObject({ admitted: false, constrained: { retryAfterMs: null } });
      }
      expect((await probe(testDemand())).verdicts).toMatchObject([{ remaining: 10 }]);
    });

    test("a request that costs nothing passes an empty bucket and tells what is left", async () => {
      const { take } = setUp();
      await take(testDemand({}, "somebody", 10));
      expect(await take(testDemand({}, "somebody", 0))).toMatchObject({ admitted: true, verdicts: [{ remaining: 0 }] });
    });

    test("a probe tells what a request would be told, and charges nothing", async () => {
      const { take, probe, store } = setUp();
      const demands = [testDemand(), testDemand({ name: "leases", unit: "concurrent-requests", limit: 1 })];
      for (let attempt = 0; attempt < 20; attempt++)
        expect((await probe(...demands)).verdicts).toMatchObject([{ remaining: 10 }, { remaining: 1 }]);
      await store.take(demands, { probe: false, leaseId: "first" });
      expect(await probe(...demands)).toMatchObject({
        admitted: false,
        verdicts: [
          { allowed: true, remaining: 9 },
          { allowed: false, remaining: 0 },
        ],
      });
      expect((await take(testDemand())).verdicts).toMatchObject([{ remaining: 8 }]);
    });

    test("a policy in shadow is charged and says what it would do, but refuses nothing and holds nothing up", async () => {
      const { take } = setUp();
      const enforced = testDemand({ name: "enforced" });
      const shadow = testDemand({ name: "shadow", mode: "shadow", limit: 2, burst: 2 });
      const outcomes = [];
      for (let request = 0; request < 11; request++) outcomes.push(await take(enforced, shadow));
      expect(outcomes.map(({ admitted }) => admitted)).toEqual([...Array.from({ length: 10 }, () => true), false]);
      expect(outcomes.map(({ verdicts }) => verdicts[1]?.allowed)).toEqual([
        true,
        true,
        ...Array.from({ length: 9 }, () => false),
      ]);
      expect(outcomes.every(({ constrained }) => constrained?.policy.name === "enforced")).toBe(true);
    });

    test("keeps keys and policies apart, whatever they are called", async () => {
      const { take } = setUp();
      const keys = ["a", "A", "", "{a}", "a:b", "'\"\\", "naïve ☂", "a\nb", "1:a", "__proto__"];
      const demands = keys.flatMap((key) =>
        ["p", "p2", "{p}", "constructor"].map((name) => testDemand({ name, limit: 1, burst: 1 }, key)),
      );
      for (const demand of demands) expect((await take(demand)).admitted).toBe(true);
      for (const demand of demands) expect((await take(demand)).admitted).toBe(false);
    });

    test("a lease that is given back is free at once; giving it back twice or unasked frees nothing else", async () => {
      const { lease, store } = setUp();
      const demand = testDemand({ unit: "concurrent-requests", limit: 2 });
      const other = testDemand({ unit: "concurrent-requests", limit: 2 }, "other");
      expect([await lease("a", demand), await lease("b", demand), await lease("c", demand)]).toEqual([
        true,
        true,
        false,
      ]);
      await store.release("unknown", [demand]);
      await store.release("a", [other]);
      expect(await lease("c", demand)).toBe(false);
      await store.release("a", [demand, testDemand()]);
      await store.release("a", [demand]);
      expect([await lease("c", demand), await lease("d", demand)]).toEqual([true, false]);
    });

    test("a lease that nobody gives back ends with its time, and one that is taken again lasts longer without counting twice", async () => {
      const { clock, lease } = setUp();
      const demand = testDemand({ unit: "concurrent-requests", limit: 2 });
      expect([await lease("long", demand), await lease("crashed", demand)]).toEqual([true, true]);
      clock.move(999);
      expect([await lease("new", demand), await lease("long", demand)]).toEqual([false, true]);
      clock.move(1);
      expect([await lease("new", demand), await lease("newer", demand)]).toEqual([true, false]);
    });

    test("a lease outlives its time by nothing when the clock is set back", async () => {
      const { clock, lease } = setUp();
      const demand = testDemand({ unit: "concurrent-requests", limit: 1 });
      await lease("crashed", demand);
      clock.move(-86_400_000);
      expect(await lease("new", demand)).toBe(false);
      clock.move(1_000);
      expect(await lease("new", demand)).toBe(true);
    });

    describeRateLimitGuarantees(promises, open);
  });
}
