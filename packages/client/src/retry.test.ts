import { describe, expect, test } from "vitest";
import { isRepeatable, readRetryAfterMs } from "./retry.ts";

describe("isRepeatable", () => {
  test.each([
    ["read", undefined, null, true],
    ["read", 408, null, true],
    ["read", 429, null, true],
    ["read", 500, null, true],
    ["read", 503, null, true],
    ["read", 404, null, false],
    ["read", 409, null, false],
    ["read", 503, "false", false],
    ["read", 400, "true", true],
    ["deduplicated", undefined, null, true],
    ["deduplicated", 429, null, true],
    ["deduplicated", 429, "false", false],
    ["deduplicated", 500, null, false],
    ["deduplicated", 504, null, false],
    ["deduplicated", 503, "true", true],
    ["once", undefined, null, false],
    ["once", 429, null, true],
    ["once", 502, null, false],
    ["once", 502, "true", true],
    ["read", 500, "", true],
    ["read", 500, "maybe", false],
  ] as const)("%s, status %s, x-should-retry %s: %s", (safety, status, shouldRetry, expected) => {
    expect(isRepeatable(safety, status, shouldRetry)).toBe(expected);
  });
});

describe("readRetryAfterMs", () => {
  const nowMs = Date.parse("Tue, 24 Nov 2026 12:00:00 GMT");

  test.each<[Record<string, string>, number | undefined]>([
    [{}, undefined],
    [{ "retry-after": "7" }, 7_000],
    [{ "retry-after": "0" }, undefined],
    [{ "retry-after-ms": "1500.5", "retry-after": "9" }, 1_500.5],
    [{ "retry-after-ms": "soon", "retry-after": "9" }, 9_000],
    [{ "retry-after": "Tue, 24 Nov 2026 12:00:30 GMT" }, 30_000],
    [{ "retry-after": "Tue, 24 Nov 2026 11:00:00 GMT" }, undefined],
    [{ "retry-after": "-5" }, undefined],
    [{ "retry-after-ms": "0", "retry-after": "2" }, 2_000],
    [{ "retry-after": "later" }, undefined],
  ])("%j is %s", (headers, expected) => {
    expect(readRetryAfterMs(new Headers(headers), nowMs)).toBe(expected);
  });
});
