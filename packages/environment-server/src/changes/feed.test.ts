import { expect, test } from "vitest";
import { maxRecentFrameKeys, maxRowsWithFrameKeys } from "../limits.ts";
import { createFrameDeduplicator } from "./feed.ts";

test("a dedupe key is a repeat if the same row has sent it before", () => {
  const isRepeat = createFrameDeduplicator();
  expect([isRepeat("a", "1"), isRepeat("b", "1"), isRepeat("a", "1"), isRepeat("a", "2")]).toEqual([
    false,
    false,
    true,
    false,
  ]);
});

test("the last keys of the last rows are remembered, and no more", () => {
  const isRepeat = createFrameDeduplicator();
  for (let key = 0; key <= maxRecentFrameKeys; key += 1) isRepeat("a", String(key));
  expect(isRepeat("a", "1")).toBe(true);
  expect(isRepeat("a", "0")).toBe(false);
  for (let row = 0; row < maxRowsWithFrameKeys; row += 1) isRepeat(`row-${row}`, "1");
  expect(isRepeat("a", String(maxRecentFrameKeys))).toBe(false);
});
