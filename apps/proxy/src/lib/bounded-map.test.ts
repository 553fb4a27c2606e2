import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
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

test("an entry in use survives any number of unused entries", () => {
  const map = createBoundedMap<number>(10);
  map.set("used", 1);
  for (let index = 0; index < 1_000; index++) {
    map.set(`new-${index}`, index);
    expect(map.get("used")).toBe(1);
  }
  expect(map.get("new-0")).toBeUndefined();
});

test("a full map whose entries are all used still drops one for each new entry, and keeps its size", () => {
  const map = createBoundedMap<number>(100);
  const keys = Array.from({ length: 1_000 }, (_, index) => `key-${index}`);
  for (const key of keys) {
    map.set(key, 1);
    for (const known of keys) map.get(known);
  }
  expect(keys.filter((key) => map.get(key) !== undefined)).toHaveLength(100);
  expect(map.get("key-999")).toBe(1);
});

test("a missing value is created once, and an existing one counts as used", () => {
  const map = createBoundedMap<number>(2);
  const create = (key: string): number => key.length;
  expect([map.getOrCreate("one", create), map.getOrCreate("one", () => 0)]).toEqual([3, 3]);
  map.set("other", 1);
  map.set("new", 2);
  expect([map.get("one"), map.get("other")]).toEqual([3, undefined]);
});

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

/** The change of the heap by a use of a map that is full at first, in bytes. */
function growth(use: (map: ReturnType<typeof createBoundedMap<number>>) => void): number {
  const map = createBoundedMap<number>(200);
  for (let index = 0; index < 300; index++) map.set(`first-${index}`, index);
  collectGarbage();
  const before = process.memoryUsage().heapUsed;
  use(map);
  collectGarbage();
  const { heapUsed } = process.memoryUsage();
  map.clear();
  return heapUsed - before;
}

test.each<[string, Parameters<typeof growth>[0]]>([
  ["cleared", (map) => map.clear()],
  ["emptied with a condition", (map) => map.deleteWhere(() => true)],
  ["emptied one by one", (map) => Array.from({ length: 100 }, (_, index) => map.delete(`key-${index}`))],
])("a map that is filled and %s again and again keeps its size in memory", (_, empty) => {
  const bytes = growth((map) => {
    for (let round = 0; round < 1_000; round++) {
      for (let index = 0; index < 100; index++) map.set(`key-${index}`, index);
      empty(map);
    }
  });
  expect(bytes).toBeLessThan(2_000_000);
});
