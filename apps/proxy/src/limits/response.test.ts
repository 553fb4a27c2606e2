import { expect, test } from "vitest";
import type { RateLimitOutcome } from "../rate-limit/store.ts";
import { addRateLimitHeaders } from "./response.ts";

const policy = {
  name: "own",
  unit: "requests",
  limit: 10,
  windowMs: 60_000,
  burst: 10,
  mode: "enforce",
  onStoreError: "local",
} as const;
const decision = { policy, allowed: true, remaining: 9, resetMs: 6_000, retryAfterMs: 0, degraded: null };
const outcome: RateLimitOutcome = { admitted: true, decisions: [decision], constrained: decision, degraded: null };

function headersOf(headers: Readonly<Record<string, string>>, of: RateLimitOutcome = outcome): Record<string, string> {
  return addRateLimitHeaders({ status: 200, headers, body: null }, of).headers;
}

test("an answer tells what is left", () => {
  expect(headersOf({})).toEqual({ "ratelimit-policy": '"own";q=10;w=60', ratelimit: '"own";r=9;t=6' });
});

test("an upstream's own fields stay, behind ours, and its wait is not shortened", () => {
  const upstream = { "ratelimit-policy": '"theirs";q=5', ratelimit: '"theirs";r=0;t=9', "retry-after": "9" };
  expect(headersOf(upstream)).toEqual({
    "ratelimit-policy": '"own";q=10;w=60, "theirs";q=5',
    ratelimit: '"own";r=9;t=6, "theirs";r=0;t=9',
    "retry-after": "9",
  });
});

test("a policy that was decided without the store says so, unless it is in shadow", () => {
  const degraded = { ...decision, degraded: "local" as const };
  const shadow = { ...degraded, policy: { ...policy, name: "quiet", mode: "shadow" as const } };
  expect(headersOf({}, { ...outcome, degraded: "timeout", decisions: [degraded, shadow] })["ratelimit-degraded"]).toBe(
    '"own";decided=local',
  );
});
