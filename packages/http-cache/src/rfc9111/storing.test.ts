import { expect, test } from "vitest";
import type { HeaderRecord } from "../fields/header-record.ts";
import { readResponseDirectives } from "./directives.ts";
import { freshnessOf } from "./freshness.ts";
import type { CacheRequest } from "./messages.ts";
import { type CachePolicy, createPolicy } from "./policy.ts";
import { refusalToStore } from "./storing.ts";

const url = "https://a.test/x";
const now = Date.UTC(2027, 0, 15);

function refusal(
  headers: HeaderRecord,
  request: Partial<CacheRequest> = {},
  status = 200,
  options: Partial<CachePolicy> = {},
) {
  const policy = createPolicy(options);
  const directives = readResponseDirectives(headers, policy);
  const freshness = freshnessOf({ status, headers }, directives, policy, now);
  return refusalToStore(
    { method: "GET", url, headers: {}, ...request },
    { status, headers },
    directives,
    freshness,
    policy,
  );
}

const fresh = { "cache-control": "max-age=60" };
const authorised = { headers: { authorization: "Bearer x" } };

test("a response with explicit freshness is stored with any final status", () => {
  for (const status of [200, 203, 204, 299, 302, 307, 400, 404, 499, 500, 503, 599])
    expect(refusal(fresh, {}, status)).toBeNull();
});

test("interim responses, 206, 304 and 416 are never stored", () => {
  for (const status of [100, 103, 199, 206, 304, 416, 600]) expect(refusal(fresh, {}, status)).toBe("status");
});

test("only responses to GET are stored", () => {
  for (const method of ["HEAD", "PUT", "DELETE", "OPTIONS", "get"]) expect(refusal(fresh, { method })).toBe("method");
});

test("a POST response is stored for GET only with explicit freshness and the target as Content-Location", () => {
  const post = { method: "POST" };
  expect(refusal({ ...fresh, "content-location": "/x" }, post)).toBeNull();
  expect(refusal({ ...fresh, "content-location": "/y" }, post)).toBe("method");
  expect(refusal(fresh, post)).toBe("method");
  const stale = { "cache-control": "max-age=0", "content-location": url };
  expect([refusal({ ...stale, etag: '"a"' }, post), refusal(stale, post)]).toEqual([null, "no-freshness"]);
  expect(refusal({ "content-location": url, etag: '"a"' }, post)).toBe("method");
  expect(refusal({ ...fresh, "content-location": url }, post, 201)).toBe("method");
});

test("response no-store prevents storing, in any letter case and with trailing garbage", () => {
  for (const value of ["no-store", "No-StOrE, max-age=9", "max-age=9, no-store=foo", 'max-age=9, no-store ="x"'])
    expect(refusal({ "cache-control": value })).toBe("no-store");
});

test("request no-store prevents storing", () => {
  expect(refusal(fresh, { headers: { "cache-control": "no-store" } })).toBe("request-no-store");
});

test("must-understand overrides no-store for an understood status and prevents storing for another", () => {
  const headers = { "cache-control": "max-age=60, no-store, must-understand" };
  expect(refusal(headers)).toBeNull();
  expect(refusal(headers, {}, 599)).toBe("status");
});

test("a permissive directive takes effect only if it is well-formed", () => {
  for (const [name, others, reason] of [
    ["public", "max-age=60", "authorization"],
    ["public", 'max-age=60, public="', "authorization"],
    ["must-understand", "max-age=60, no-store", "no-store"],
  ] as const) {
    const headers = { "cache-control": `${others}, ${name}=@` };
    expect([headers, refusal(headers, authorised)]).toEqual([headers, reason]);
  }
  const { flags } = readResponseDirectives({ "cache-control": "immutable=, immutable" }, createPolicy());
  expect(flags).toEqual(new Set());
});

test("private prevents storing in a shared cache but not in a private one", () => {
  const headers = { "cache-control": "private, max-age=60" };
  expect(refusal(headers)).toBe("private");
  expect(refusal(headers, {}, 200, { mode: "private" })).toBeNull();
  expect(refusal({ "cache-control": "private=x, max-age=60" })).toBe("private");
  expect(refusal({ "cache-control": 'private="", max-age=60' })).toBe("private");
  expect(refusal({ "cache-control": 'private="x", max-age=60' })).toBeNull();
});

test("a response to a request with credentials is stored only if public, must-revalidate or s-maxage allows it", () => {
  expect(refusal(fresh, authorised)).toBe("authorization");
  expect(refusal({ "cache-control": "max-age=60, proxy-revalidate" }, authorised)).toBe("authorization");
  for (const value of ["max-age=60, public", "max-age=60, must-revalidate", "s-maxage=60"])
    expect(refusal({ "cache-control": value }, authorised)).toBeNull();
  expect(refusal(fresh, authorised, 200, { mode: "private" })).toBeNull();
});

test("isAuthorised overrides the presence of an Authorization field", () => {
  expect(refusal(fresh, { ...authorised, isAuthorised: false })).toBeNull();
  expect(refusal(fresh, { isAuthorised: true })).toBe("authorization");
});

test("an asterisk anywhere in Vary prevents storing", () => {
  for (const vary of ["*", "*, *", ", *", "Foo, *"]) expect(refusal({ ...fresh, vary })).toBe("vary-star");
});

test.each(["Accept-Encoding Cookie", "Accept-Encoding; Cookie", '"Cookie"', "cookie:", "*;q=1", "Accept, =Cookie"])(
  "the malformed Vary %j prevents storing, since the response may vary by any field",
  (vary) => {
    expect(refusal({ ...fresh, vary })).toBe("vary-star");
  },
);

test("without explicit freshness only heuristically cacheable statuses and public responses are stored", () => {
  const headers = { "last-modified": "Thu, 14 Jan 2027 00:00:00 GMT" };
  for (const status of [200, 203, 204, 300, 301, 308, 404, 405, 410, 414, 501])
    expect(refusal(headers, {}, status)).toBeNull();
  for (const status of [201, 202, 302, 403, 500, 502, 503, 504, 599])
    expect(refusal(headers, {}, status)).toBe("no-freshness");
  expect(refusal({ ...headers, "cache-control": "public" }, {}, 599)).toBeNull();
});

test("a response that could never be used is not stored", () => {
  for (const value of ["max-age=0", "no-cache", "no-cache, max-age=60"])
    expect(refusal({ "cache-control": value })).toBe("no-freshness");
  expect(refusal({ "cache-control": "no-cache", etag: '"a"' })).toBeNull();
  expect(refusal({ "cache-control": "max-age=0, stale-if-error=60" })).toBeNull();
});

test("Set-Cookie prevents storing only if the policy says so", () => {
  const headers = { ...fresh, "set-cookie": "a=b" };
  expect(refusal(headers)).toBeNull();
  expect(refusal(headers, {}, 200, { setCookie: "refuse" })).toBe("set-cookie");
});

test("the first targeted field of the policy replaces Cache-Control", () => {
  expect(refusal({ "cache-control": "no-store", "cdn-cache-control": "max-age=60" })).toBeNull();
  expect(refusal({ "cache-control": "max-age=60", "cdn-cache-control": "no-store" })).toBe("no-store");
  expect(refusal({ "cache-control": "max-age=60", "cdn-cache-control": "private" })).toBe("private");
  const own = { targetedFields: ["own-cache-control", "cdn-cache-control"] };
  expect(refusal({ "own-cache-control": "max-age=1", "cdn-cache-control": "no-store" }, {}, 200, own)).toBeNull();
});

test("an empty, malformed or wrongly typed targeted field is ignored completely", () => {
  for (const targeted of ["", "max-age=10, &&&&&", 'max-age="10"', "MaX-aGe=10"])
    expect(refusal({ "cache-control": "no-store", "cdn-cache-control": targeted })).toBe("no-store");
});
