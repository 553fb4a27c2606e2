import { expect, test } from "vitest";
import { parsePolicyOverride, patchRateLimits } from "./key-rate-limit.ts";

test.each([
  ["10/1m", { limit: 10, windowMs: 60_000, burst: 10 }],
  ["1000/1d/50", { limit: 1_000, windowMs: 86_400_000, burst: 50 }],
  ["none", "none"],
])("%s is a measure", (text, measure) => {
  expect(parsePolicyOverride(text)).toEqual(measure);
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
])("%j is none", (text) => {
  expect(parsePolicyOverride(text)).toBeNull();
});

test("a patch replaces measures by name, and null takes one away, or all", () => {
  expect(patchRateLimits({ a: "1/1s", b: "2/1s" }, { b: "3/1s", a: null })).toEqual({ b: "3/1s" });
  expect(patchRateLimits(null, { a: "1/1s" })).toEqual({ a: "1/1s" });
  expect([patchRateLimits({ a: "1/1s" }, null), patchRateLimits({ a: "1/1s" }, { a: null })]).toEqual([null, null]);
});
