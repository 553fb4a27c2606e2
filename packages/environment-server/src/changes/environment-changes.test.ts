import { expect, test } from "vitest";
import { differenceOf } from "./environment-changes.ts";

test("a difference has what changed, null for what is gone, and nothing else", () => {
  const before = { name: "box", mode: "standard", metadata: { branch: "main", os: "linux", commands: ["a"] } };
  const after = { name: "box", metadata: { branch: "next", os: "linux", commands: ["a", "b"] }, tags: ["ci"] };
  expect(differenceOf(before, after)).toEqual({
    mode: null,
    tags: ["ci"],
    metadata: { branch: "next", commands: ["a", "b"] },
  });
});

test("equal objects have no difference, and an absent member is equal to null", () => {
  expect(differenceOf({ a: { b: [1] }, c: null }, { a: { b: [1] } })).toBe(null);
});
