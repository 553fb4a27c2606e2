import { expect, test } from "vitest";
import { entryOf } from "../../test/entry.ts";
import type { HeaderRecord } from "../fields/header-record.ts";
import type { CacheEntry } from "../ports.ts";
import { parseRange, prepareResponse } from "./prepare-response.ts";

const now = Date.UTC(2027, 0, 15);
const at = (seconds: number): string => new Date(now + seconds * 1_000).toUTCString();
const base = entryOf(now, {
  headers: { "content-type": "text/plain", "content-length": "10", etag: '"a"', date: at(0), "x-a": "1" },
  body: new TextEncoder().encode("0123456789"),
});

function prepare(headers: HeaderRecord, stored: Partial<CacheEntry> = {}, method = "GET") {
  const request = { method, url: "https://a.test/", headers };
  const response = prepareResponse(request, { ...base, ...stored }, 3_999, now + 3_999, "test; hit");
  return { ...response, text: response.body === null ? null : new TextDecoder().decode(response.body) };
}

test("a stored response is sent with its age in whole seconds and its own Date", () => {
  expect(prepare({}).headers).toMatchObject({ age: "3", date: at(0), "cache-status": "test; hit" });
});

test("the Cache-Status entry follows those of caches nearer to the origin", () => {
  expect(prepare({}, { headers: { "cache-status": "up; hit" } }).headers["cache-status"]).toBe("up; hit, test; hit");
});

test("HEAD gets the header fields and no body", () => {
  expect(prepare({}, {}, "HEAD")).toMatchObject({ status: 200, body: null, headers: { "content-length": "10" } });
});

test("HEAD has the Content-Length that GET would have, even if the origin sent none, but not for a body that may have been decoded", () => {
  const length = (headers: HeaderRecord, stored: Partial<CacheEntry> = {}) =>
    prepare({}, { headers, ...stored }, "HEAD").headers["content-length"];
  expect(length({})).toBe("10");
  expect(length({ "content-encoding": "gzip" })).toBe(undefined);
  // Its response must not have the field.
  expect(length({}, { status: 204, body: new Uint8Array() })).toBe(undefined);
});

test("a client with a current copy gets 304 without representation fields", () => {
  const { status, headers, body } = prepare({ "if-none-match": '"x", W/"a"' });
  expect([status, body]).toEqual([304, null]);
  expect(headers).toEqual({ etag: '"a"', date: at(0), "x-a": "1", age: "3", "cache-status": "test; hit" });
});

test("If-None-Match takes precedence over If-Modified-Since", () => {
  const headers = { ...base.headers, "last-modified": at(-60) };
  expect(prepare({ "if-none-match": '"b"', "if-modified-since": at(0) }, { headers }).status).toBe(200);
  expect(prepare({ "if-none-match": '"a"', "if-modified-since": at(-600) }, { headers }).status).toBe(304);
});

test("If-Modified-Since is compared with Last-Modified, else Date, and an invalid one is ignored", () => {
  const modified = { headers: { ...base.headers, "last-modified": at(-60) } };
  expect(prepare({ "if-modified-since": at(-60) }, modified).status).toBe(304);
  expect(prepare({ "if-modified-since": at(-61) }, modified).status).toBe(200);
  expect(prepare({ "if-modified-since": at(0) }).status).toBe(304);
  expect(prepare({ "if-modified-since": at(-3_000) }).status).toBe(200);
  expect(prepare({ "if-modified-since": "yesterday" }, modified).status).toBe(200);
});

test("conditions are evaluated for 200 responses only", () => {
  expect(prepare({ "if-none-match": '"a"' }, { status: 404 }).status).toBe(404);
});

test.each([
  ["bytes=2-4", 206, "234", "bytes 2-4/10"],
  ["bytes=-1", 206, "9", "bytes 9-9/10"],
  ["bytes=7-", 206, "789", "bytes 7-9/10"],
  ["bytes=10-", 416, null, "bytes */10"],
  ["bytes=0-1,3-4", 200, "0123456789", undefined],
  ["lines=1-2", 200, "0123456789", undefined],
])("a byte range is served from the whole body: %s", (range, status, text, contentRange) => {
  const response = prepare({ range });
  expect([response.status, response.text, response.headers["content-range"]]).toEqual([status, text, contentRange]);
  expect(Number(response.headers["content-length"])).toBe(text?.length ?? 0);
});

test("a range applies only if If-Range strongly matches the stored response", () => {
  const range = "bytes=0-0";
  expect(prepare({ range, "if-range": '"a"' }).status).toBe(206);
  expect(prepare({ range, "if-range": '"b"' }).status).toBe(200);
  const weak = { headers: { ...base.headers, etag: 'W/"a"' } };
  expect(prepare({ range, "if-range": 'W/"a"' }, weak).status).toBe(200);
  const dated = { headers: { ...base.headers, "last-modified": at(-60) } };
  expect(prepare({ range, "if-range": at(-60) }, dated).status).toBe(206);
  expect(prepare({ range, "if-range": at(-59) }, dated).status).toBe(200);
  const justNow = { headers: { ...base.headers, "last-modified": at(0) } };
  expect(prepare({ range, "if-range": at(0) }, justNow).status).toBe(200);
});

test("a range of an encoded body is served only if its length shows that it was not decoded", () => {
  for (const [length, status] of [
    ["10", 206],
    ["5", 200],
    [undefined, 200],
  ] as const) {
    const headers = { "content-encoding": "gzip", ...(length === undefined ? {} : { "content-length": length }) };
    expect([length, prepare({ range: "bytes=0-0" }, { headers }).status]).toEqual([length, status]);
  }
});

test("ranges apply to GET and 200 only, and a matching condition takes precedence", () => {
  expect(prepare({ range: "bytes=0-0" }, {}, "HEAD").status).toBe(200);
  expect(prepare({ range: "bytes=0-0" }, { status: 404 }).status).toBe(404);
  expect(prepare({ range: "bytes=0-0", "if-none-match": '"a"' }).status).toBe(304);
});

test.each([
  ["bytes=0-1", { first: 0, last: 1 }],
  ["bytes=5-", { first: 5, last: 9 }],
  ["bytes=-3", { first: 7, last: 9 }],
  ["bytes=-30", { first: 0, last: 9 }],
  ["bytes=8-100", { first: 8, last: 9 }],
  ["BYTES=0-0", { first: 0, last: 0 }],
  ["bytes=10-", "unsatisfiable"],
  ["bytes=-0", "unsatisfiable"],
  ["bytes=2-1", null],
  ["bytes=-", null],
  ["bytes=a-b", null],
  ["bytes=0-1,3-4", null],
  ["items=0-1", null],
])("parses Range %j for a body of ten bytes", (range, expected) => {
  expect(parseRange(range, 10)).toEqual(expected);
});
