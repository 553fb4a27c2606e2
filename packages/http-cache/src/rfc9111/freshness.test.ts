import { expect, test } from "vitest";
import type { HeaderRecord } from "../fields/header-record.ts";
import { readResponseDirectives } from "./directives.ts";
import { freshnessOf, initialAgeMs } from "./freshness.ts";
import { type CachePolicy, createPolicy } from "./policy.ts";

const now = Date.UTC(2027, 0, 15, 12);
const at = (seconds: number): string => new Date(now + seconds * 1_000).toUTCString();

function lifetime(headers: HeaderRecord, options: Partial<CachePolicy> = {}, status = 200): number {
  const policy = createPolicy(options);
  return freshnessOf({ status, headers }, readResponseDirectives(headers, policy), policy, now).lifetimeMs / 1_000;
}

test("s-maxage takes precedence over max-age, max-age over Expires; s-maxage applies to shared caches only", () => {
  const headers = { "cache-control": "max-age=10, s-maxage=20", expires: at(30) };
  expect(lifetime(headers)).toBe(20);
  expect(lifetime(headers, { mode: "private" })).toBe(10);
  expect(lifetime({ expires: at(30), date: at(0) })).toBe(30);
});

test("Expires is relative to Date, or to the arrival if Date is missing or invalid", () => {
  expect(lifetime({ expires: at(300), date: at(400) })).toBe(0);
  expect(lifetime({ expires: at(10), date: at(-10) })).toBe(20);
  expect(lifetime({ expires: at(10), date: "foo" })).toBe(10);
});

test("an invalid or repeated Expires means already expired", () => {
  for (const expires of ["0", "-1", "tomorrow", `${at(10)}, ${at(20)}`]) {
    expect(lifetime({ expires, date: at(0), "last-modified": at(-1e6) })).toBe(0);
  }
});

test("an unreadable or contradictory max-age means a lifetime of 0", () => {
  for (const value of [
    "max-age='3600'",
    "max-age=-1",
    "max-age=3600.5",
    "max-age=a3600",
    "max-age",
    "max-age=1, max-age=3600",
  ])
    expect(lifetime({ "cache-control": value, expires: at(60) })).toBe(0);
});

test("max-age accepts leading zeros and caps numbers beyond 31 bits", () => {
  expect(lifetime({ "cache-control": "max-age=003600" })).toBe(3_600);
  expect(lifetime({ "cache-control": "max-age=99999999999" })).toBe(2_147_483_648);
});

test("without explicit freshness the lifetime is a tenth of the time since Last-Modified, up to a day", () => {
  expect(lifetime({ "last-modified": at(-1_000), date: at(0) })).toBe(100);
  expect(lifetime({ "last-modified": at(-1e8), date: at(0) })).toBe(86_400);
  expect(lifetime({ "last-modified": at(-1_000), date: at(0) }, { heuristicFraction: 0 })).toBe(0);
  expect(lifetime({ "last-modified": at(-1_000), date: at(0) }, {}, 503)).toBe(0);
  expect(lifetime({})).toBe(0);
});

test("a targeted field replaces Expires too", () => {
  expect(lifetime({ "cdn-cache-control": "max-age=5", expires: at(-60) })).toBe(5);
  expect(lifetime({ "cdn-cache-control": "foo", expires: at(60), "cache-control": "max-age=60" })).toBe(0);
  expect(lifetime({ "cdn-cache-control": "max-age=1.5", "cache-control": "max-age=60" })).toBe(0);
});

const times = { requestedAtMs: now - 2_000, receivedAtMs: now };

test("the initial age is the larger of the apparent age and Age plus response delay", () => {
  expect(initialAgeMs({ date: at(-30) }, times)).toBe(30_000);
  expect(initialAgeMs({ date: at(-30), age: "40" }, times)).toBe(42_000);
  expect(initialAgeMs({ date: at(30) }, times)).toBe(2_000);
  expect(initialAgeMs({ date: "foo" }, times)).toBe(2_000);
});

test("fractions of a second that Date cannot express do not count as age", () => {
  expect(initialAgeMs({ date: at(0) }, { requestedAtMs: now + 990, receivedAtMs: now + 999 })).toBe(9);
});

test("the first of several Age values counts, and an invalid Age is ignored", () => {
  expect(initialAgeMs({ age: "7200, 0" }, times)).toBe(7_202_000);
  expect(initialAgeMs({ age: "0, 7200" }, times)).toBe(2_000);
  for (const age of ["abc", "-7200", "7200.0", ""]) expect(initialAgeMs({ age }, times)).toBe(2_000);
  expect(initialAgeMs({ age: "99999999999" }, times)).toBe(2_147_483_650_000);
});

test("setting the clock back during a request does not produce a negative age", () => {
  expect(initialAgeMs({}, { requestedAtMs: now, receivedAtMs: now - 60_000 })).toBe(0);
});
