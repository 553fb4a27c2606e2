import { describe, expect, test } from "vitest";
import { findExcess, isNestedDeeply, maxJsonDepth } from "./nesting.ts";

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

describe("findExcess", () => {
  const values = (count: number): string => `[${"1,".repeat(count - 1)}1]`;

  test("a text may have 50,000 values, and no more: each array, object and comma counts", () => {
    expect([findExcess(values(50_000)), findExcess(values(50_001))]).toEqual([null, "must have at most 50,000 values"]);
    const objects = (count: number): string => `[${"{},".repeat(count)}${" ".repeat(100)}1]`;
    expect([findExcess(objects(24_999)), findExcess(objects(25_000))]).toEqual([null, expect.any(String)]);
  });

  test("arrays and objects that are few enough to be nested are counted in addition to commas", () => {
    const text = (commas: number): string =>
      `[${"[],".repeat(maxJsonDepth - 1)}${"1,".repeat(commas - maxJsonDepth + 1)}1]`;
    expect([findExcess(text(50_000 - maxJsonDepth)), findExcess(text(50_001 - maxJsonDepth))]).toEqual([
      null,
      "must have at most 50,000 values",
    ]);
  });

  test("a text may have as many values as it likes where only its nesting is limited", () => {
    expect(isNestedDeeply(values(60_000))).toBe(false);
  });
});
