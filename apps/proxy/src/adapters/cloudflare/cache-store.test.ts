import type { CacheEntry } from "@letta-environments/http-cache";
import { sha256Hex } from "@letta-environments/platform/node";
import fc from "fast-check";
import { expect, test } from "vitest";
import { groupKeyOf, wholeGroupOf } from "../../cache/environment-cache.ts";
import { createCacheApiStore, decodeEntry, encodeEntry } from "./cache-store.ts";

function entryOf(body: Uint8Array, name: string): CacheEntry {
  return {
    status: 200,
    headers: { "x-name": name },
    body,
    vary: ["accept"],
    variant: [`=${name}`],
    receivedAtMs: 1,
    initialAgeMs: 2,
    freshForMs: 3,
    staleWhileRevalidateMs: 4,
    staleIfErrorMs: 5,
    validatesAlways: false,
    isNeverStale: false,
    isImmutable: false,
    keepUntilMs: 6,
    groups: ["g"],
  };
}

test("decoding returns the encoded entry, including every byte of the body", () => {
  const entries = [
    {
      entry: entryOf(
        Uint8Array.from({ length: 256 }, (_, index) => index),
        "naïve ☂",
      ),
      stamps: ["a", "b"],
    },
    { entry: entryOf(new Uint8Array(), "empty"), stamps: [] },
    { entry: entryOf(new TextEncoder().encode("last"), "last"), stamps: ["c"] },
  ];
  for (const { entry, stamps } of entries) {
    const read = decodeEntry(encodeEntry({ entry, stamps }));
    expect({ ...read, entry: { ...read.entry, body: [...read.entry.body] } }).toEqual({
      entry: { ...entry, body: [...entry.body] },
      stamps,
    });
  }
});

/** A store over a cache in memory, and the calls of that cache. */
function createTestStore() {
  const stored = new Map<string, ArrayBuffer>();
  const calls: string[] = [];
  const cache = {
    async match(url: string) {
      calls.push("match");
      const body = stored.get(url);
      return body && new Response(body.slice());
    },
    async put(url: string, response: Response) {
      calls.push("put");
      stored.set(url, await response.arrayBuffer());
    },
    async delete(url: string) {
      calls.push("delete");
      return stored.delete(url);
    },
  };
  let stamps = 0;
  const store = createCacheApiStore({
    openCache: () => cache,
    clock: { now: () => 0 },
    sha256: sha256Hex,
    newStamp: () => `stamp ${++stamps}`,
    wholeOf: wholeGroupOf,
  });
  return { store, calls };
}

const groupsOf = (tenant: string, group: string): readonly string[] =>
  ["everything", group].map((name) => groupKeyOf("upstream", tenant, name));

test("a read of a stored response takes two calls, and a read of an unknown one takes one", async () => {
  const { store, calls } = createTestStore();
  await store.put("key", { ...entryOf(new Uint8Array(), "a"), groups: groupsOf("t", "lists") });
  calls.length = 0;
  expect(await store.get("key")).toHaveLength(1);
  expect(calls).toEqual(["match", "match"]);
  await store.get("other");
  expect(calls).toHaveLength(3);
});

test("a response is not returned once one of its groups was deleted, and deletions reach no other tenant", async () => {
  const tenant = fc.constantFrom("t", "u");
  const group = fc.constantFrom("lists", "device 1", "device 2");
  const step = fc.record({ kind: fc.constantFrom("put", "delete", "purge"), tenant, group });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 12 }), async (steps) => {
      const { store } = createTestStore();
      const expected = new Set<string>();
      const tenantsWithDeletions = new Set<string>();
      for (const { kind, tenant: name, group: leaf } of steps) {
        const key = JSON.stringify([name, leaf]);
        const [everything = "", part = ""] = groupsOf(name, leaf);
        if (kind === "put") {
          await store.put(key, { ...entryOf(new Uint8Array(), key), groups: [everything, part] });
          expected.add(key);
          continue;
        }
        await store.deleteGroup(kind === "purge" ? everything : part);
        tenantsWithDeletions.add(name);
        for (const other of expected) {
          const [otherTenant, otherLeaf] = JSON.parse(other) as string[];
          if (otherTenant === name && (kind === "purge" || otherLeaf === leaf)) expected.delete(other);
        }
      }
      for (const name of ["t", "u"]) {
        for (const leaf of ["lists", "device 1", "device 2"]) {
          const key = JSON.stringify([name, leaf]);
          const found = await store.get(key);
          if (!expected.has(key)) expect(found).toEqual([]);
          else if (!tenantsWithDeletions.has(name)) expect(found).toHaveLength(1);
        }
      }
    }),
  );
});
