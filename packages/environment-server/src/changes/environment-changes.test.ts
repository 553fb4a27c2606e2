import { expect, test } from "vitest";
import { differenceOf } from "./environment-changes.ts";

test("a merge patch contains only changed members, and null for removed ones", () => {
  const before = { name: "box", mode: "standard", metadata: { branch: "main", os: "linux", commands: ["a"] } };
  const after = { name: "box", metadata: { branch: "next", os: "linux", commands: ["a", "b"] }, tags: ["ci"] };
  expect(differenceOf(before, after)).toEqual({
    mode: null,
    tags: ["ci"],
    metadata: { branch: "next", commands: ["a", "b"] },
  });
});

test("equal objects have an empty merge patch, and an absent member equals null", () => {
  expect(differenceOf({ a: { b: [1] }, c: null }, { a: { b: [1] } })).toBe(null);
});
