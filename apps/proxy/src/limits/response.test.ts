import { describe, expect, test } from "vitest";
import { testCheck, testPolicy } from "../../test/support/test-check.ts";
import { problemOf } from "../../test/support/test-proxy.ts";
import { decideRateLimits } from "../rate-limit/decide.ts";
import { rateLimitHeaders } from "../rate-limit/headers.ts";
import type { RateLimitCheck } from "../rate-limit/policy.ts";
import type { RateLimitOutcome } from "../rate-limit/store.ts";
import { addRateLimitHeaders, rateLimitResponse } from "./response.ts";

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

test("responses report what remains", () => {
  expect(headersOf({})).toEqual({ "ratelimit-policy": '"own";q=10;w=60', ratelimit: '"own";r=9;t=6' });
});

test("the items of an upstream follow those of the gateway, and its Retry-After is not replaced", () => {
  const upstream = { "ratelimit-policy": '"theirs";q=5', ratelimit: '"theirs";r=0;t=9', "retry-after": "9" };
  expect(headersOf(upstream)).toEqual({
    "ratelimit-policy": '"own";q=10;w=60, "theirs";q=5',
    ratelimit: '"own";r=9;t=6, "theirs";r=0;t=9',
    "retry-after": "9",
  });
});

test("RateLimit-Degraded lists policies that were decided without the store, except shadow policies", () => {
  const degraded = { ...decision, degraded: "local" as const };
  const shadow = { ...degraded, policy: { ...policy, name: "quiet", mode: "shadow" as const } };
  expect(headersOf({}, { ...outcome, degraded: "timeout", decisions: [degraded, shadow] })["ratelimit-degraded"]).toBe(
    '"own";decided=local',
  );
});

describe("responses to refused requests", () => {
  const nowUs = 1_800_000_000_000_000;

  function decide(checks: readonly RateLimitCheck[], states: readonly number[] = []): RateLimitOutcome {
    const known = Float64Array.from(checks, (_, index) => states[index] ?? 0);
    return decideRateLimits(checks, known, nowUs, false);
  }

  test("a refused request is 429 with the longest wait of the policies that refused", () => {
    const empty = testCheck({ name: "empty", limit: 1, windowMs: 90_000, burst: 1 });
    const response = rateLimitResponse(decide([testCheck(), empty], [0, nowUs + 61_200_000]));
    if (response === null) throw new Error("expected a refusal");
    expect([response.status, response.headers["retry-after"]]).toEqual([429, "62"]);
    expect(problemOf(response)).toMatchObject({ errorCode: "rate_limited", "violated-policies": ["empty"] });
  });

  test("a request that is never allowed is 429 and must not be retried", () => {
    const response = rateLimitResponse(decide([testCheck({}, "x", 11)]));
    if (response === null) throw new Error("expected a refusal");
    expect(response.status).toBe(429);
    expect(response.headers).toMatchObject({ "x-should-retry": "false" });
    expect(response.headers).not.toHaveProperty("retry-after");
    expect(problemOf(response)).toMatchObject({ errorCode: "rate_limited" });
  });

  test("a refused request is 429 with the problem type of the draft, the policies that refused and all headers", () => {
    const response = rateLimitResponse(
      decide([testCheck(), testCheck({ name: "empty" }, "x", 2)], [0, nowUs + 900_000]),
    );
    expect(response).toMatchObject({
      status: 429,
      headers: {
        "content-type": "application/problem+json",
        "retry-after": "1",
        "x-should-retry": "true",
        "ratelimit-policy": '"test";q=10;w=1, "empty";q=10;w=1',
        ratelimit: '"test";r=10;t=0, "empty";r=1;t=1',
      },
    });
    expect(JSON.parse(String(response?.body))).toMatchObject({
      type: "https://iana.org/assignments/http-problem-types#quota-exceeded",
      errorCode: "rate_limited",
      status: 429,
      "violated-policies": ["empty"],
    });
    expect(rateLimitResponse(decide([testCheck()]))).toBeNull();
  });

  test("a request that only closed policies refuse, because the store is unavailable, is 503 without a RateLimit header", () => {
    const decision = { policy: testPolicy(), allowed: false, remaining: null, resetMs: 0, retryAfterMs: 1_000 };
    const decisions = [{ ...decision, degraded: "closed" as const }];
    const outcome = { admitted: false, decisions, constrained: decisions[0] ?? null, degraded: "error" as const };
    expect(rateLimitHeaders(outcome)).toEqual({ "ratelimit-policy": '"test";q=10;w=1', "retry-after": "1" });
    const response = rateLimitResponse(outcome);
    if (response === null) throw new Error("expected a refusal");
    expect([response.status, response.headers["retry-after"]]).toEqual([503, "1"]);
    expect(problemOf(response)).toMatchObject({ errorCode: "limits_unavailable", "violated-policies": ["test"] });
  });
});
