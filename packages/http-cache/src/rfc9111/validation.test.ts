import process from "node:process";
import { expect, test } from "vitest";
import { listsTag } from "./validation.ts";

test.each([
  ['"a"', '"a"', true],
  ['W/"a"', '"a"', true],
  ['"a"', 'W/"a"', true],
  ['"x", W/"a,b" , "y"', '"a,b"', true],
  ['"x",,"a"', '"a"', true],
  [' , ,\t"x", , "a",', '"a"', true],
  [",a", "a", true],
  [",", '"a"', false],
  ["*", '"a"', true],
  ["*", undefined, true],
  ['"A"', '"a"', false],
  ['"b"', '"a"', false],
  ["a", "a", true],
  ['"a"', undefined, false],
])("If-None-Match %j is compared with the tag %j", (condition, tag, expected) => {
  expect(listsTag(condition, tag)).toBe(expected);
});

test("a list of tags is compared in time that is proportional to its length, whatever a client sends", () => {
  const before = process.cpuUsage();
  for (const hostile of [`${" ,".repeat(100_000)}"`, `${"a".repeat(200_000)} "`, `${'"x",,'.repeat(50_000)}"`])
    expect(listsTag(hostile, '"a"')).toBe(false);
  expect(process.cpuUsage(before).user).toBeLessThan(500_000);
});
