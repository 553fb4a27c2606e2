import fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { PlainResponse } from "@letta-environments/schema";
import type { UpstreamFailure } from "../ports.ts";
import {
  createRetryBudget,
  maxRetries,
  maxSavedRetries,
  parseRetryAfter,
  retriesPerRead,
  retryDelayMs,
  type RetrySituation,
} from "./retry.ts";
import { cloudflareStatuses } from "../../test/support/cloudflare-statuses.ts";

const nowMs = Date.UTC(2027, 0, 15, 8, 0, 0);

function respond(status: number, headers: Readonly<Record<string, string>> = {}): PlainResponse {
  return { status, headers, body: null };
}

function delay(situation: Partial<RetrySituation> & Pick<RetrySituation, "result">): number | null {
  return retryDelayMs({ retries: 0, remainingMs: 30_000, nowMs, random: 0.5, ...situation });
}

describe("repeats of reads", () => {
  test.each<[PlainResponse | UpstreamFailure, boolean]>([
    [{ reason: "unreachable", cause: null }, true],
    [{ reason: "broken", cause: null }, true],
    [{ reason: "too_large", cause: null }, false],
    [{ reason: "undecodable", cause: null }, false],
    ...[408, 429, 502, 503, 504, ...cloudflareStatuses].map(
      (status) => [respond(status), true] as [PlainResponse, boolean],
    ),
    ...[200, 304, 400, 401, 403, 404, 409, 500, 501, 519, 528, 529, 531].map(
      (status) => [respond(status), false] as [PlainResponse, boolean],
    ),
    [respond(503, { "x-should-retry": "false" }), false],
    [respond(503, { "x-should-retry": "true" }), true],
  ])("a read is repeated after %j: %s", (result, expected) => {
    expect(delay({ result }) !== null).toBe(expected);
  });

  test("a read is repeated after a delay with full jitter, whose bound doubles", () => {
    const result = respond(503);
    expect([0, 0.5, 0.99].map((random) => delay({ result, random }))).toEqual([0, 50, 99]);
    expect([0, 0.5, 0.99].map((random) => delay({ result, random, retries: 1 }))).toEqual([0, 100, 198]);
  });

  test("a read is not repeated before Retry-After, and not at all if that takes too long", () => {
    expect(delay({ result: respond(429, { "retry-after": "2" }), random: 0 })).toBe(2_000);
    expect(delay({ result: respond(503, { "retry-after": "Fri, 15 Jan 2027 08:00:03 GMT" }), random: 0 })).toBe(3_000);
    expect(delay({ result: respond(503, { "retry-after": "6" }) })).toBeNull();
    expect(delay({ result: respond(503, { "retry-after": "2" }), remainingMs: 2_000 })).toBeNull();
  });

  test("a read is repeated at most twice, and never past the deadline", () => {
    const situation = fc.record({
      retries: fc.nat(5),
      remainingMs: fc.integer({ min: -10, max: 10_000 }),
      random: fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true }),
      retryAfter: fc.option(fc.nat(20), { nil: undefined }),
    });
    fc.assert(
      fc.property(situation, ({ retryAfter, ...rest }) => {
        const headers = retryAfter === undefined ? {} : { "retry-after": String(retryAfter) };
        const delayMs = delay({ result: respond(503, headers), ...rest });
        if (delayMs === null) return;
        expect(rest.retries).toBeLessThan(maxRetries);
        expect(delayMs).toBeLessThan(rest.remainingMs);
        expect(delayMs).toBeGreaterThanOrEqual((retryAfter ?? 0) * 1_000);
      }),
    );
  });

  test.each([
    ["7", 7_000],
    ["0", 0],
    ["Fri, 15 Jan 2027 08:01:00 GMT", 60_000],
    ["Fri, 15 Jan 2027 07:00:00 GMT", 0],
    ["soon", null],
    ["-1", null],
    ["1.5", null],
    ["Xyz, 99 Abc 2027 25:00:00 GMT", null],
    ["9".repeat(30), null],
  ])("Retry-After %s is %s ms from now", (value, expected) => {
    expect(parseRetryAfter({ "retry-after": value }, nowMs)).toBe(expected);
  });
});

test("retries never exceed a fifth of the reads plus a fixed reserve, in any order", () => {
  fc.assert(
    fc.property(fc.array(fc.boolean(), { maxLength: 400 }), (steps) => {
      const budget = createRetryBudget();
      let reads = 0;
      let retries = 0;
      for (const isRead of steps) {
        if (isRead) {
          budget.deposit();
          reads += 1;
        } else if (budget.take()) retries += 1;
        expect(retries).toBeLessThanOrEqual(reads * retriesPerRead + maxSavedRetries);
      }
    }),
  );
});
