import { expect, test } from "vitest";
import { testCheck, testPolicy } from "../../test/support/test-check.ts";
import { decideRateLimits, mostConstrained } from "./decide.ts";
import type { RateLimitPolicy } from "./policy.ts";
import type { RateLimitDecision } from "./store.ts";

function allows(name: string, remaining: number | null, changes: Partial<RateLimitPolicy> = {}): RateLimitDecision {
  const policy = testPolicy({ name, ...changes });
  return { policy, allowed: true, remaining, resetMs: 0, retryAfterMs: 0, degraded: null };
}

function refuses(name: string, retryAfterMs: number | null, changes: Partial<RateLimitPolicy> = {}): RateLimitDecision {
  return { ...allows(name, 0, changes), allowed: false, retryAfterMs };
}

test.each<[string | null, readonly RateLimitDecision[]]>([
  [null, []],
  [null, [allows("a", 0, { mode: "shadow" }), refuses("b", null, { mode: "shadow" })]],
  ["small", [allows("full", 10), allows("small", 1), allows("half", 5)]],
  ["big", [allows("small", 5), allows("big", 400, { burst: 1_000 })]],
  ["leases", [allows("half", 5), allows("leases", 1, { unit: "concurrent-requests", limit: 4, burst: 1 })]],
  ["known", [allows("open", null), allows("known", 10)]],
  ["long", [refuses("short", 100), refuses("long", 200), refuses("middle", 150)]],
  ["never", [refuses("long", 1e9), refuses("never", null), refuses("short", 1)]],
  ["refused", [allows("empty", 0), refuses("refused", 1), allows("full", 10)]],
])("the most constrained policy is %s", (name, decisions) => {
  expect(mostConstrained(decisions)?.policy.name ?? null).toBe(name);
  expect(mostConstrained(decisions.toReversed())?.policy.name ?? null).toBe(name);
});

test("an arrival time in the future, from before the clock was set back, counts as an empty bucket and no more", () => {
  const [nowUs, burstUs] = [1_000_000_000, 1_000_000];
  const states = Float64Array.of(nowUs + 60 * burstUs);
  const { decisions } = decideRateLimits([testCheck({}, "somebody", 0)], states, nowUs, false);
  expect(decisions).toMatchObject([{ allowed: true, remaining: 0, resetMs: 1_000 }]);
  expect([...states]).toEqual([nowUs + burstUs]);
});
