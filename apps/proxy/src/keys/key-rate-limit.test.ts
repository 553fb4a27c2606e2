import { expect, test } from "vitest";
import { parseDuration, parsePolicyOverride, patchRateLimits } from "./key-rate-limit.ts";

test.each([
  ["10/1m", { limit: 10, windowMs: 60_000, burst: 10 }],
  ["1000/1d/50", { limit: 1_000, windowMs: 86_400_000, burst: 50 }],
  ["none", "none"],
])("%s parses as a policy override", (text, override) => {
  expect(parsePolicyOverride(text)).toEqual(override);
});

test.each([
  "",
  "10",
  "10/m",
  "0/1m",
  "10/0s",
  "10/1m/0",
  "1.5/1m",
  "-1/1m",
  "10/1m/",
  "10/1w",
  "9999999999/1s",
  " 10/1m",
  "None",
])("%j is not a policy override", (text) => {
  expect(parsePolicyOverride(text)).toBeNull();
});

test("a patch replaces overrides by name, and null removes one, or all", () => {
  expect(patchRateLimits({ a: "1/1s", b: "2/1s" }, { b: "3/1s", a: null })).toEqual({ b: "3/1s" });
  expect(patchRateLimits(null, { a: "1/1s" })).toEqual({ a: "1/1s" });
  expect([patchRateLimits({ a: "1/1s" }, null), patchRateLimits({ a: "1/1s" }, { a: null })]).toEqual([null, null]);
});

test.each([
  ["30d", 2_592_000_000],
  ["1h", 3_600_000],
  ["15m", 900_000],
  ["30s", 30_000],
  ["0s", 0],
])("the duration %s is %d ms", (text, durationMs) => {
  expect(parseDuration(text)).toBe(durationMs);
});

test.each(["", "30", "d", "-1d", "1.5h", "1 h", "1H", "1w", "99999999d", "1e3s", "constructor"])(
  "%j is not a duration",
  (text) => {
    expect(parseDuration(text)).toBeNull();
  },
);
