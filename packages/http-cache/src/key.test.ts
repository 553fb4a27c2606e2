import fc from "fast-check";
import { expect, test } from "vitest";
import { cacheKey, encodeKey, groupKey } from "./key.ts";

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
