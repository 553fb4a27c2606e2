import fc from "fast-check";
import { isInnerList, parseList } from "structured-headers";
import { expect, test } from "vitest";
import { testCheck } from "../../test/support/test-check.ts";
import { concurrencyRetryMs, decideRateLimits } from "./decide.ts";
import { rateLimitHeaders, retryAfterSeconds } from "./headers.ts";
import type { RateLimitCheck } from "./policy.ts";
import type { RateLimitOutcome } from "./store.ts";

const nowUs = 1_800_000_000_000_000;

function decide(checks: readonly RateLimitCheck[], states: readonly number[] = []): RateLimitOutcome {
  return decideRateLimits(
    checks,
    Float64Array.from(checks, (_, index) => states[index] ?? 0),
    nowUs,
    false,
  );
}

/** Parses a list of Strings with parameters with an independent implementation of RFC 9651. */
function read(field: string | undefined): readonly unknown[] {
  return parseList(field ?? "").map((member) => {
    if (isInnerList(member)) throw new Error("an inner list");
    return [member[0], Object.fromEntries(member[1])];
  });
}

test("the headers list every enforced policy with its quota, the remaining units and the time until the full quota is restored", () => {
  const headers = rateLimitHeaders(
    decide([
      testCheck({ name: "burst", limit: 100, windowMs: 60_000, burst: 50 }, "x", 3),
      testCheck({ name: "daily", limit: 1_000, windowMs: 86_400_000, burst: 1_000 }),
      testCheck({ name: "at once", unit: "concurrent-requests", limit: 4 }),
      testCheck({ name: "trial", mode: "shadow" }),
      testCheck({ name: "short", limit: 5, windowMs: 1_500, burst: 5 }),
    ]),
  );
  expect(Object.keys(headers)).toEqual(["ratelimit-policy", "ratelimit"]);
  expect(read(headers["ratelimit-policy"])).toEqual([
    ["burst", { q: 100, w: 60 }],
    ["daily", { q: 1_000, w: 86_400 }],
    ["at once", { q: 4, qu: "concurrent-requests" }],
    ["short", { q: 5 }],
  ]);
  expect(read(headers["ratelimit"])).toEqual([
    ["burst", { r: 47, t: 2 }],
    ["daily", { r: 999, t: 87 }],
    ["at once", { r: 3 }],
    ["short", { r: 4, t: 1 }],
  ]);
});

test("Retry-After of a refusal is never before the reset time in RateLimit", () => {
  const empty = testCheck({ name: "empty", limit: 1, windowMs: 90_000, burst: 1 });
  const outcome = decide([testCheck(), empty], [0, nowUs + 61_200_000]);
  const headers = rateLimitHeaders(outcome);
  expect(headers["retry-after"]).toBe("62");
  expect(read(headers["ratelimit"])).toEqual([
    ["test", { r: 10, t: 0 }],
    ["empty", { r: 0, t: 62 }],
  ]);
});

test("a refused concurrent request may be retried after one second", () => {
  const outcome = decide([testCheck({ name: "at once", unit: "concurrent-requests", limit: 4 })], [4]);
  expect(rateLimitHeaders(outcome)).toMatchObject({ ratelimit: '"at once";r=0;t=1', "retry-after": "1" });
  expect(concurrencyRetryMs).toBe(1_000);
});

test("a request that is never allowed has no Retry-After", () => {
  const outcome = decide([testCheck({}, "x", 11)]);
  expect(rateLimitHeaders(outcome)).not.toHaveProperty("retry-after");
  expect(retryAfterSeconds(outcome)).toBeNull();
});

test("an admitted request has no Retry-After, and without enforced policies there are no headers", () => {
  expect(retryAfterSeconds(decide([testCheck()]))).toBeNull();
  expect(rateLimitHeaders(decide([testCheck({ mode: "shadow" })]))).toEqual({});
});

test("requests with different policies get their own headers, although they share a policy", () => {
  const shared = testCheck({ name: "shared" });
  expect(rateLimitHeaders(decide([shared]))).toMatchObject({ "ratelimit-policy": '"shared";q=10;w=1' });
  for (const name of ["first", "second", "first"]) {
    expect(rateLimitHeaders(decide([shared, testCheck({ name })]))).toEqual({
      "ratelimit-policy": `"shared";q=10;w=1, "${name}";q=10;w=1`,
      ratelimit: `"shared";r=9;t=1, "${name}";r=9;t=1`,
    });
  }
  expect(read(rateLimitHeaders(decide([shared]))["ratelimit-policy"])).toHaveLength(1);
});

test("the headers are valid structured fields for every policy name and every number", () => {
  const printable = fc.string({
    unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)),
    minLength: 1,
    maxLength: 64,
  });
  fc.assert(
    fc.property(
      printable,
      fc.integer({ min: 1, max: 1e6 }),
      fc.integer({ min: 1, max: 1e9 }),
      fc.nat(2e6),
      (name, limit, windowMs, cost) => {
        const headers = rateLimitHeaders(decide([testCheck({ name, limit, windowMs, burst: limit }, "x", cost)]));
        expect(read(headers["ratelimit-policy"])).toMatchObject([[name, { q: limit }]]);
        expect(read(headers["ratelimit"])).toMatchObject([[name, { r: cost <= limit ? limit - cost : limit }]]);
      },
    ),
  );
});
