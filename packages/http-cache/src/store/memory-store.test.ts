import { deepStrictEqual } from "node:assert";
import { createVirtualClock } from "@letta-environments/testkit";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { entryOf } from "../../test/entry.ts";
import type { CacheEntry } from "../ports.ts";
import { storeContract } from "../testing.ts";
import { hashKey } from "./entry-table.ts";
import { createMemoryCacheStore } from "./memory-store.ts";

const clock = createVirtualClock();

function entry(body: Uint8Array, changes: Partial<CacheEntry> = {}): CacheEntry {
  return entryOf(clock.now(), { body, ...changes });
}

function filled(length: number, byte: number): Uint8Array {
  return new Uint8Array(length).fill(byte);
}

describe("contract", () => {
  storeContract({ test, equal: deepStrictEqual }, () => createMemoryCacheStore({ clock }));
});

test("the store never exceeds its limits of entries, bytes and variants, whatever is put and removed", () => {
  const operation = fc.record({
    key: fc.integer({ min: 0, max: 40 }),
    length: fc.oneof(fc.integer({ min: 0, max: 3_000 }), fc.integer({ min: 30_000, max: 60_000 })),
    kind: fc.constantFrom("put", "put", "put", "get", "delete", "group"),
    variant: fc.constantFrom("=a", "=b", "=c"),
  });
  fc.assert(
    fc.property(fc.array(operation, { maxLength: 200 }), (operations) => {
      const [maxBytes, maxEntries] = [100_000, 20];
      const store = createMemoryCacheStore({ clock, maxBytes, maxEntries, maxVariants: 2 });
      const bytes = new Map<string, number>();
      for (const [index, { key, length, kind, variant }] of operations.entries()) {
        const name = String(key);
        const group = `g${key % 3}`;
        if (kind === "put") {
          store.put(name, entry(filled(length, index % 256), { vary: ["v"], variant: [variant], groups: [group] }));
          bytes.set(name + variant, index % 256);
        } else if (kind === "delete") store.delete(name);
        else if (kind === "group") store.deleteGroup(group);
        const found = store.get(name);
        expect(found.length).toBeLessThanOrEqual(2);
        if (kind === "delete" || kind === "group") expect(found).toEqual([]);
        for (const stored of found)
          expect(stored.body.every((byte) => byte === bytes.get(name + String(stored.variant[0])))).toBe(true);
        expect(store.entryCount).toBeLessThanOrEqual(maxEntries);
        expect(store.byteCount).toBeLessThanOrEqual(maxBytes);
      }
    }),
    { numRuns: 200 },
  );
});

test("a body that was read does not change while other entries are replaced", () => {
  const store = createMemoryCacheStore({ clock, maxBytes: 2_000_000 });
  for (let index = 0; index < 200; index++) store.put(`k${index}`, entry(filled(1_000, index)));
  const [read] = store.get("k7");
  const view = read?.body;
  store.delete("k7");
  for (let index = 0; index < 20_000; index++) store.put(`n${index}`, entry(filled(1_000, 255)));
  expect(view?.every((byte) => byte === 7)).toBe(true);
  expect(read?.body.every((byte) => byte === 7)).toBe(true);
});

test("an entry larger than the store is not stored, and the entry it replaces is removed", () => {
  const store = createMemoryCacheStore({ clock, maxBytes: 10_000 });
  store.put("a", entry(filled(10, 1)));
  store.put("a", entry(filled(20_000, 2)));
  expect([store.get("a"), store.entryCount, store.byteCount]).toEqual([[], 0, 0]);
});

test("used entries survive a scan of entries that are used once", () => {
  const store = createMemoryCacheStore({ clock, maxEntries: 100 });
  for (let index = 0; index < 50; index++) {
    store.put(`hot${index}`, entry(filled(1, 1)));
    store.get(`hot${index}`);
  }
  for (let index = 0; index < 10_000; index++) store.put(`scan${index}`, entry(filled(1, 1)));
  for (let index = 0; index < 50; index++) expect(store.get(`hot${index}`)).toHaveLength(1);
});

test("expired entries are evicted first, however often they were used", async () => {
  const store = createMemoryCacheStore({ clock, maxEntries: 2 });
  store.put("dead", entry(filled(1, 1), { keepUntilMs: clock.now() + 1 }));
  for (let index = 0; index < 5; index++) store.get("dead");
  await clock.advance(2);
  store.put("b", entry(filled(1, 1)));
  store.put("c", entry(filled(1, 1)));
  expect(store.get("dead")).toEqual([]);
  expect(store.get("b")).toHaveLength(1);
});

test("keys with the same hash are different keys", () => {
  const store = createMemoryCacheStore({ clock });
  const [one, other] = ["dev-657546", "dev-1008820"];
  expect(hashKey(one)).toBe(hashKey(other));
  store.put(one, entry(filled(1, 1)));
  store.put(other, entry(filled(1, 2)));
  expect([one, other].map((key) => store.get(key).map(({ body }) => body[0]))).toEqual([[1], [2]]);
  store.delete(one);
  expect([one, other].map((key) => store.get(key).map(({ body }) => body[0]))).toEqual([[], [2]]);
});

test("groups whose names have the same hash are different groups, with any number of members", () => {
  const store = createMemoryCacheStore({ clock });
  const [one, other] = ["dev-657546", "dev-1008820"];
  expect(hashKey(one)).toBe(hashKey(other));
  const groupsOf: Readonly<Record<string, readonly string[]>> = {
    a: [one],
    b: [other],
    c: [one, other],
    d: [other, other],
    e: [one],
  };
  const kept = (): readonly string[] => Object.keys(groupsOf).filter((key) => store.get(key).length > 0);
  for (const first of [one, other]) {
    for (const [key, groups] of Object.entries(groupsOf)) store.put(key, entry(filled(1, 1), { groups }));
    store.deleteGroup(first);
    expect(kept()).toEqual(Object.keys(groupsOf).filter((key) => groupsOf[key]?.includes(first) === false));
    store.deleteGroup(first === one ? other : one);
    expect(kept()).toEqual([]);
  }
});

test("a response that is stored again with other groups is removed from the old ones", () => {
  const store = createMemoryCacheStore({ clock });
  store.put("k", entry(filled(1, 1), { groups: ["a", "b"] }));
  store.put("k", entry(filled(1, 2), { groups: ["a", "b"] }));
  store.put("k", entry(filled(1, 3), { groups: ["b", "c"] }));
  store.deleteGroup("a");
  expect(store.get("k").map(({ body }) => body[0])).toEqual([3]);
  store.deleteGroup("c");
  expect([store.get("k"), store.entryCount, store.byteCount]).toEqual([[], 0, 0]);
});

test("an entry preserves every string and number exactly, however often it is read", () => {
  const store = createMemoryCacheStore({ clock });
  const headers = Object.fromEntries([
    ["__proto__", "a"],
    ["x-surrogate", "\ud800"],
    ["x-quote", '"\\\u0000'],
  ]);
  const put = entry(filled(2, 1), { headers, initialAgeMs: 0.25, freshForMs: 2 ** 40, groups: ["\ufeffg"] });
  store.put("\ufeffk", put);
  // More entries than the store keeps unpacked.
  for (let index = 0; index < 2_000; index++) store.put(`k${index}`, entry(filled(1, 1)));
  for (let index = 0; index < 2_000; index++) store.get(`k${index}`);
  const [read] = store.get("\ufeffk");
  expect([read?.headers, read?.initialAgeMs, read?.freshForMs, read?.groups]).toEqual([
    headers,
    0.25,
    2 ** 40,
    ["\ufeffg"],
  ]);
  store.deleteGroup("\ufeffg");
  expect(store.get("\ufeffk")).toEqual([]);
});

test("the number of variants of a resource is limited, and the oldest is evicted", () => {
  const store = createMemoryCacheStore({ clock, maxVariants: 3 });
  for (let index = 0; index < 10; index++)
    store.put("k", entry(filled(1, index), { vary: ["v"], variant: [`=${index}`] }));
  expect(store.get("k").map(({ variant }) => variant[0])).toEqual(["=9", "=8", "=7"]);
});
