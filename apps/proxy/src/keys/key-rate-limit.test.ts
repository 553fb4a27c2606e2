import { expect, test } from "vitest";
import { parsePolicyOverride, patchRateLimits, restrictingRateLimits } from "./key-rate-limit.ts";

test.each([
  ["10/1m", { limit: 10, windowMs: 60_000, burst: 10 }],
  ["1000/1d/50", { limit: 1_000, windowMs: 86_400_000, burst: 50 }],
  ["1000/2w/50", { limit: 1_000, windowMs: 1_209_600_000, burst: 50 }],
  ["5/30s", { limit: 5, windowMs: 30_000, burst: 5 }],
  ["5/12h", { limit: 5, windowMs: 43_200_000, burst: 5 }],
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
  "10/1M",
  "10/1ms",
  "10/1.5h",
  "10/1 h",
  "10/99999999d",
  "10/constructor",
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

test("the limit that a key passes on can be read, also one with the longest window", () => {
  const policy = { name: "a", unit: "requests", limit: 100, windowMs: 60_000, burst: 2 } as const;
  const policies = [{ ...policy, mode: "enforce", onStoreError: "local", countsOnlyFailures: false }] as const;
  const { a = "" } = restrictingRateLimits({ a: "5/36525d/3" }, policies) ?? {};
  expect(parsePolicyOverride(a)).toEqual({ limit: 5, windowMs: 36_525 * 86_400_000, burst: 2 });
});
