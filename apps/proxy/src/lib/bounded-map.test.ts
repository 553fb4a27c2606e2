import { expect, test } from "vitest";
import { createBoundedMap } from "./bounded-map.ts";

test("a full map drops its oldest entry, and replacing an entry drops none", () => {
  const map = createBoundedMap<number>(2);
  map.set("a", 1);
  map.set("b", 2);
  map.set("b", 3);
  expect([map.get("a"), map.get("b")]).toEqual([1, 3]);
  map.set("c", 4);
  expect([map.get("a"), map.get("b"), map.get("c")]).toEqual([undefined, 3, 4]);
});

test("an entry can be deleted, and all of them cleared", () => {
  const map = createBoundedMap<number>(2);
  map.set("a", 1);
  map.set("b", 2);
  map.delete("a");
  expect([map.get("a"), map.get("b")]).toEqual([undefined, 2]);
  map.clear();
  expect(map.get("b")).toBeUndefined();
});
