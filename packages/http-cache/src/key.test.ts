import fc from "fast-check";
import { expect, test } from "vitest";
import { cacheKey, decodeKey, encodeKey, groupKey } from "./key.ts";

const part = fc.oneof(fc.string(), fc.constantFrom("", "1:a", "0:", "a1:", "group"));
const parts = fc.array(part, { maxLength: 4 });

test("different lists of key parts never encode to the same key", () => {
  fc.assert(
    fc.property(parts, parts, (left, right) => {
      expect(encodeKey(left) === encodeKey(right)).toBe(JSON.stringify(left) === JSON.stringify(right));
    }),
    { numRuns: 2_000 },
  );
});

test("decoding a key returns its parts", () => {
  fc.assert(
    fc.property(parts, (list) => {
      expect(decodeKey(encodeKey(list))).toEqual(list);
    }),
  );
});

test("the cache key ignores the fragment and includes the partition", () => {
  const url = "https://a.test/x";
  expect(cacheKey({ url: `${url}#top` })).toBe(cacheKey({ url, partition: [] }));
  expect(cacheKey({ url, partition: ["t"] })).not.toBe(cacheKey({ url }));
});

test("groups with the same name differ by origin and partition", () => {
  const keys = [
    groupKey({ url: "https://a.test/x" }, "g"),
    groupKey({ url: "https://b.test/x" }, "g"),
    groupKey({ url: "https://a.test/x", partition: ["t"] }, "g"),
  ];
  expect(new Set(keys).size).toBe(3);
  expect(groupKey({ url: "https://a.test/other" }, "g")).toBe(keys[0]);
});
