import fc from "fast-check";
import { expect, test } from "vitest";
import { cacheKey, groupKey } from "../keys/cache-key.ts";
import { encodeKey } from "../keys/encode-key.ts";
import { withoutConnectionFields } from "./connection-fields.ts";
import { listsTag } from "./entity-tags.ts";
import { fieldOf } from "./header-record.ts";
import { parseRange } from "./parse-range.ts";
import { splitList } from "./split-list.ts";

test("commas in quoted strings do not separate, empty elements are none", () => {
  expect(splitList('a, "b, \\"c", ,\td')).toEqual(["a", '"b, \\"c"', "d"]);
});

test("fields of the connection and those that Connection names are taken out", () => {
  const headers = {
    connection: "A, x-b",
    a: "1",
    "x-b": "2",
    c: "3",
    te: "x",
    "keep-alive": "1",
    "proxy-authenticate": "y",
  };
  expect(withoutConnectionFields(headers)).toEqual({ c: "3" });
});

test("a field name that is a member of every object reads as absent", () => {
  expect(fieldOf({}, "constructor")).toBeUndefined();
});

test.each([
  ['"a"', '"a"', true],
  ['W/"a"', '"a"', true],
  ['"a"', 'W/"a"', true],
  ['"x", W/"a,b" , "y"', '"a,b"', true],
  ["*", '"a"', true],
  ["*", undefined, true],
  ['"A"', '"a"', false],
  ['"b"', '"a"', false],
  ["a", "a", true],
  ['"a"', undefined, false],
])("If-None-Match %j against %j", (condition, tag, expected) => {
  expect(listsTag(condition, tag)).toBe(expected);
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
])("Range %j of ten bytes", (range, expected) => {
  expect(parseRange(range, 10)).toEqual(expected);
});

test("no two different keys collide", () => {
  const part = fc.oneof(fc.string(), fc.constantFrom("", "1:a", "0:", "a1:", "group"));
  const parts = fc.array(part, { maxLength: 4 });
  fc.assert(
    fc.property(parts, parts, (left, right) => {
      expect(encodeKey(left) === encodeKey(right)).toBe(JSON.stringify(left) === JSON.stringify(right));
    }),
    { numRuns: 2_000 },
  );
});

test("a fragment is not part of a key; a partition is", () => {
  const url = "https://a.test/x";
  expect(cacheKey({ url: `${url}#top` })).toBe(cacheKey({ url, partition: [] }));
  expect(cacheKey({ url, partition: ["t"] })).not.toBe(cacheKey({ url }));
});

test("a group of the same name at another origin or in another partition is another group", () => {
  const keys = [
    groupKey({ url: "https://a.test/x" }, "g"),
    groupKey({ url: "https://b.test/x" }, "g"),
    groupKey({ url: "https://a.test/x", partition: ["t"] }, "g"),
  ];
  expect(new Set(keys).size).toBe(3);
  expect(groupKey({ url: "https://a.test/other" }, "g")).toBe(keys[0]);
});
