import { expect, test } from "vitest";
import { listsTag } from "./validation.ts";

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
])("If-None-Match %j compared with the tag %j", (condition, tag, expected) => {
  expect(listsTag(condition, tag)).toBe(expected);
});
