import { expect, test } from "vitest";
import type { HeaderRecord } from "../fields/header-record.ts";
import type { CacheEntry } from "../ports.ts";
import { type CachePolicy, createPolicy } from "./policy.ts";
import { applyOnlyIfCached, bypassReason, decideReuse, selectStored } from "./reuse.ts";
import { evaluateResponse } from "./storing.ts";

const url = "https://a.test/x";
const start = Date.UTC(2027, 0, 15);

function stored(headers: HeaderRecord, requestHeaders: HeaderRecord = {}, receivedAtMs = start): CacheEntry {
  const request = { method: "GET", url, headers: requestHeaders };
  const times = { requestedAtMs: receivedAtMs, receivedAtMs };
  return evaluateResponse(request, { status: 200, headers }, times, createPolicy()).toEntry(new Uint8Array(1));
}

function decide(
  candidate: CacheEntry | readonly CacheEntry[],
  afterSeconds: number,
  headers: HeaderRecord = {},
  options: Partial<CachePolicy> = {},
): string {
  const candidates = Array.isArray(candidate) ? (candidate as readonly CacheEntry[]) : [candidate as CacheEntry];
  const request = { method: "GET", url, headers };
  const policy = createPolicy(options);
  const reuse = decideReuse(request, candidates, policy, start + afterSeconds * 1_000);
  const decision = applyOnlyIfCached(request, reuse, policy);
  return `${decision.kind} ${decision.reason}`;
}

const minute = { "cache-control": "max-age=60" };

test("a fresh response is used and a stale one validated; freshness ends exactly when the age reaches the lifetime", () => {
  expect([0, 59.999, 60, 61].map((seconds) => decide(stored(minute), seconds))).toEqual([
    "hit fresh",
    "hit fresh",
    "revalidate stale",
    "revalidate stale",
  ]);
});

test("the age on arrival counts", () => {
  expect(decide(stored({ ...minute, age: "50" }), 9)).toBe("hit fresh");
  expect(decide(stored({ ...minute, age: "50" }), 11)).toBe("revalidate stale");
});

test("response no-cache validates each use; with field names it only excludes those fields from storage", () => {
  expect(decide(stored({ "cache-control": "max-age=60, No-CaChE" }), 1)).toBe("revalidate no-cache");
  const partly = stored({ "cache-control": 'max-age=60, no-cache="a, B"', a: "1", b: "2", c: "3" });
  expect(decide(partly, 1)).toBe("hit fresh");
  expect(Object.keys(partly.headers).toSorted()).toEqual(["c", "cache-control", "date"]);
});

test("private with field names excludes those fields from a shared cache", () => {
  expect(stored({ "cache-control": 'max-age=60, private="a"', a: "1" }).headers).not.toHaveProperty("a");
});

test("a clock set back before the arrival forces validation", () => {
  expect(decide(stored(minute), -0.5)).toBe("hit fresh");
  expect(decide(stored(minute), -3_600)).toBe("revalidate clock");
});

test("stale-while-revalidate allows a stale response until its time is over", () => {
  const response = stored({ "cache-control": "max-age=60, stale-while-revalidate=10" });
  expect([60, 69.9, 70].map((seconds) => decide(response, seconds))).toEqual([
    "hit stale-while-revalidate",
    "hit stale-while-revalidate",
    "revalidate stale",
  ]);
});

test("must-revalidate, proxy-revalidate and s-maxage forbid stale responses, even with max-stale", () => {
  for (const directive of ["must-revalidate", "proxy-revalidate", "s-maxage=60"]) {
    const response = stored({ "cache-control": `max-age=60, stale-while-revalidate=100, ${directive}` });
    expect(decide(response, 61)).toBe("revalidate stale");
    expect(decide(response, 61, { "cache-control": "max-stale" })).toBe("revalidate stale");
    expect(decide(response, 59)).toBe("hit fresh");
  }
});

test.each([
  ["no-cache", 1, "revalidate request-no-cache"],
  ["max-age=0", 1, "revalidate request-max-age"],
  ["max-age=10", 9, "hit fresh"],
  ["max-age=10", 11, "revalidate request-max-age"],
  ["max-age=x", 1, "revalidate request-max-age"],
  ["min-fresh=30", 29, "hit fresh"],
  ["min-fresh=30", 31, "revalidate request-min-fresh"],
  ["max-stale=10", 69, "hit max-stale"],
  ["max-stale=10", 71, "revalidate stale"],
  ["max-stale", 9_999, "hit max-stale"],
  ["max-stale=x", 61, "revalidate stale"],
  ["only-if-cached", 1, "hit fresh"],
  ["only-if-cached", 61, "unsatisfied only-if-cached"],
  ["only-if-cached, max-stale", 61, "hit max-stale"],
  ["unknown=1", 1, "hit fresh"],
])("the request directives %j apply after %d seconds", (value, seconds, expected) => {
  expect(decide(stored(minute), seconds, { "cache-control": value })).toBe(expected);
});

test("Pragma: no-cache applies only without Cache-Control", () => {
  expect(decide(stored(minute), 1, { pragma: "no-cache" })).toBe("revalidate request-no-cache");
  expect(decide(stored(minute), 1, { pragma: "no-cache", "cache-control": "foo" })).toBe("hit fresh");
  expect(decide(stored(minute), 1, { pragma: "foo" })).toBe("hit fresh");
});

test("without honoursRequestDirectives only no-store and only-if-cached apply", () => {
  const options = { honoursRequestDirectives: false };
  expect(decide(stored(minute), 1, { "cache-control": "no-cache, max-age=0" }, options)).toBe("hit fresh");
  expect(decide(stored(minute), 61, { "cache-control": "only-if-cached, max-stale" }, options)).toBe(
    "unsatisfied only-if-cached",
  );
  expect(bypassReason({ method: "GET", url, headers: { "cache-control": "no-store" } }, createPolicy(options))).toBe(
    "no-store",
  );
});

test("a reload does not validate a fresh immutable response; no-cache does", () => {
  const response = stored({ "cache-control": "max-age=60, immutable", etag: '"a"' });
  expect(decide(response, 30, { "cache-control": "max-age=0" })).toBe("hit fresh");
  expect(decide(response, 30, { "cache-control": "no-cache" })).toBe("revalidate request-no-cache");
  expect(decide(response, 61, { "cache-control": "max-age=0" })).toBe("revalidate request-max-age");
});

test("the newest matching variant is used, and none if none matches", () => {
  const varied = { ...minute, vary: "Foo" };
  const one = stored(varied, { foo: "1" });
  expect(decide(one, 1, { foo: "1" })).toBe("hit fresh");
  expect(decide(one, 1, { foo: "2" })).toBe("miss vary-miss");
  expect(decide(one, 1)).toBe("miss vary-miss");
  expect(decide([], 1)).toBe("miss uri-miss");
  const older = stored({ ...minute, etag: '"old"' }, {}, start - 30_000);
  const decision = decideReuse(
    { method: "GET", url, headers: {} },
    [older, stored(minute)],
    createPolicy(),
    start + 1_000,
  );
  expect(decision).toMatchObject({ kind: "hit", stored: { receivedAtMs: start } });
});

test("a matching variant is preferred to a newer response without Vary, whose origin may have forgotten the field", () => {
  const request = { "accept-language": "fr" };
  const french = stored({ ...minute, vary: "accept-language", etag: '"fr"' }, request, start - 2_000);
  const olderFrench = stored({ ...minute, vary: "accept-language" }, request, start - 4_000);
  const byDefault = stored({ ...minute, etag: '"default"' });
  const select = (headers: HeaderRecord) =>
    selectStored(headers, [olderFrench, french, byDefault], createPolicy())?.headers["etag"];
  expect(select(request)).toBe('"fr"');
  expect([select({ "accept-language": "de" }), select({})]).toEqual(['"default"', '"default"']);
});

test("for Vary, an absent field differs from an empty one and from Object.prototype members", () => {
  const varied = { ...minute, vary: "constructor, foo" };
  expect(decide(stored(varied), 1)).toBe("hit fresh");
  expect(decide(stored(varied), 1, { foo: "" })).toBe("miss vary-miss");
});

test.each([
  ["foo", "1, 2", "1,2", true],
  ["foo", " 1 , 2 ", "1,2", true],
  ["foo", "a,b", ",a,,b", false],
  ["foo", "a", "a,", false],
  ["foo", "", ",", false],
  ["foo", '"a, b"', '"a,b"', false],
  ["foo", "1,2", "2,1", false],
  ["foo", "A", "a", false],
  ["accept-language", "en, de", "DE,  eN", true],
  ["accept-language", "en,de", ",en,,de", true],
  ["accept-language", "en;q=1.0, de;q=0.50", "de;q=0.5,en", true],
  ["accept-language", "en, fr;q=0.5, de;q=0.5", "de;q=0.5, fr;q=0.5, en", true],
  ["accept-language", "en, de;q=0.5", "en;q=0.5, de", false],
  ["accept-encoding", "gzip, br", "BR,gzip", true],
  ["accept-charset", "utf-8, x;q=0.5", "x;q=0.5,UTF-8", true],
  ["accept", "text/html, application/json", "application/json, text/html", false],
  ["accept", "text/html, a/b;q=0.5, a/c;q=0.5", "a/b;q=0.5, a/c;q=0.5, text/html", true],
  ["accept", "text/html, a/b;q=0.5, a/c;q=0.5", "text/html, a/c;q=0.5, a/b;q=0.5", false],
  ["accept", "text/html;q=x, a/b;q=0.5", "a/b;q=0.5, text/html;q=x", false],
  ["accept", "text/html;level=1, */*;q=0.1", "*/*;q=0.1, Text/HTML;level=1", true],
  ["accept", "text/html;a=X", "text/html;a=x", false],
  ["cookie", "a=1,2", "a=1, 2", false],
])("the %s values %j and %j are the same variant: %s", (name, left, right, same) => {
  const response = stored({ ...minute, vary: name }, { [name]: left });
  expect(decide(response, 1, { [name]: right })).toBe(same ? "hit fresh" : "miss vary-miss");
});

test("a response in the most preferred language matches, unless matchesContentLanguage is off", () => {
  const response = stored(
    { ...minute, vary: "Accept-Language", "content-language": "de" },
    { "accept-language": "en, de" },
  );
  const prefers = { "accept-language": "fr;q=0.5, de;q=1.0" };
  expect(decide(response, 1, prefers)).toBe("hit fresh");
  expect(decide(response, 1, prefers, { matchesContentLanguage: false })).toBe("miss vary-miss");
  for (const other of ["de, fr", "fr, de;q=0.5", "*", "de;q=x"])
    expect(decide(response, 1, { "accept-language": other })).toBe("miss vary-miss");
});

test("only GET and HEAD are looked up, and If-Match and If-Unmodified-Since go to the origin", () => {
  const bypass = (method: string, headers: HeaderRecord = {}) => bypassReason({ method, url, headers }, createPolicy());
  expect([bypass("GET"), bypass("HEAD"), bypass("POST"), bypass("get")]).toEqual([null, null, "method", "method"]);
  expect(bypass("GET", { "if-match": '"a"' })).toBe("precondition");
  expect(bypass("GET", { "if-unmodified-since": "x" })).toBe("precondition");
});
