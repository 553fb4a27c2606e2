import { describe, expect, test } from "vitest";
import { isNestedDeeply, maxJsonDepth } from "./nesting.ts";

describe("isNestedDeeply", () => {
  test.each([
    ["[", "]"],
    ['{"a":', "}"],
  ])("isNestedDeeply accepts 64 levels of %s, and no more", (open, close) => {
    const nested = (depth: number): string => `${open.repeat(depth)}1${close.repeat(depth)}`;
    expect([isNestedDeeply(nested(maxJsonDepth)), isNestedDeeply(nested(maxJsonDepth + 1))]).toEqual([false, true]);
  });

  test("a caller can allow more levels than 64", () => {
    const nested = (depth: number): string => "[".repeat(depth) + "]".repeat(depth);
    expect([isNestedDeeply(nested(100), 100), isNestedDeeply(nested(101), 100)]).toEqual([false, true]);
  });

  test("brackets in strings neither add levels nor hide any, whatever is escaped", () => {
    const brackets = "[".repeat(maxJsonDepth + 1);
    for (const text of ["", "\\", '"', '\\"', '"\\']) {
      expect(isNestedDeeply(JSON.stringify({ [text + brackets]: text + brackets }))).toBe(false);
      const closing = JSON.stringify(text + brackets.replaceAll("[", "]"));
      expect(isNestedDeeply(`[${closing},${brackets}`)).toBe(true);
    }
  });

  test("many arrays and objects beside each other are not nested", () => {
    expect(isNestedDeeply(JSON.stringify(Array.from({ length: 1_000 }, () => ({ tags: [] }))))).toBe(false);
  });
});
