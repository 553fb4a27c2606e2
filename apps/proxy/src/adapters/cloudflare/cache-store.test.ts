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

/** Stores of several isolates over one cache in memory, and the calls of that cache. */
function createTestStores(isolates = 1) {
  let nowMs = 1;
  const stored = new Map<string, Response>();
  const calls: string[] = [];
  const cache = {
    async match(url: string) {
      calls.push("match");
      return stored.get(url)?.clone();
    },
    async put(url: string, response: Response) {
      calls.push("put");
      stored.set(url, response);
    },
    async delete(url: string) {
      calls.push("delete");
      return stored.delete(url);
    },
  };
  let stamps = 0;
  const create = () =>
    createCacheApiStore({
      openCache: () => cache,
      clock: { now: () => nowMs },
      sha256: sha256Hex,
      newStamp: () => `stamp ${++stamps}`,
      wholeOf: wholeGroupOf,
    });
  return {
    stores: [create(), ...Array.from({ length: isolates - 1 }, create)] as const,
    calls,
    move: (ms: number) => void (nowMs += ms),
  };
}

const lastingEntry = (name: string, groups: readonly string[]): CacheEntry => ({
  ...entryOf(new TextEncoder().encode(name), name),
  ...{ initialAgeMs: 0, freshForMs: 2_000, keepUntilMs: 60_000, groups },
});

const groupsOf = (tenant: string, group: string): readonly string[] =>
  ["everything", group].map((name) => groupKeyOf("upstream", tenant, name));

test("a read makes two calls, a repeated read in the same isolate makes one, and a miss makes one", async () => {
  const { stores, calls } = createTestStores(2);
  const [first, second = first] = stores;
  await first.put("key", lastingEntry("a", groupsOf("t", "lists")));
  const callsOf = async (read: unknown): Promise<number> => {
    calls.length = 0;
    await read;
    return calls.length;
  };
  expect(await callsOf(second.get("key"))).toBe(2);
  expect(await callsOf(second.get("key"))).toBe(1);
  expect(await callsOf(second.get("unknown"))).toBe(1);
  // Its copy is invalid, and the response that another isolate has stored since is found with the stamp that was just read.
  await first.deleteGroup(groupsOf("t", "lists")[1] ?? "");
  await first.put("key", lastingEntry("b", groupsOf("t", "lists")));
  expect(await callsOf(second.get("key"))).toBe(2);
});

test("a response that was requested before another isolate deleted one of its groups is not returned, and needs no extra calls", async () => {
  const { stores, calls } = createTestStores(2);
  const [first, second = first] = stores;
  const groups = groupsOf("t", "lists");
  const put = await first.begin?.("key", groups);
  await second.deleteGroup(groups[1] ?? "");
  await put?.(lastingEntry("old", groups));
  for (const store of stores) expect(await store.get("key")).toEqual([]);
  calls.length = 0;
  const again = await first.begin?.("key", groups);
  await again?.(lastingEntry("new", groups));
  // The stamp is read, and stored because it was deleted; then the response is.
  expect(calls).toEqual(["match", "put", "put"]);
  for (const store of stores) expect((await store.get("key"))[0]?.headers).toEqual({ "x-name": "new" });
});

test("a stale copy is not used, because another isolate may have stored a newer response", async () => {
  const { stores, move } = createTestStores(2);
  const [first, second = first] = stores;
  await first.put("key", lastingEntry("old", groupsOf("t", "lists")));
  await second.get("key");
  await first.put("key", lastingEntry("new", groupsOf("t", "lists")));
  expect((await second.get("key"))[0]?.headers).toEqual({ "x-name": "old" });
  move(2_000);
  expect((await second.get("key"))[0]?.headers).toEqual({ "x-name": "new" });
});

test("a body that is too large for the memory of an isolate is read from the cache each time", async () => {
  const { stores, calls } = createTestStores();
  const body = new Uint8Array(40_000);
  await stores[0].put("key", { ...lastingEntry("a", groupsOf("t", "lists")), body });
  calls.length = 0;
  expect((await stores[0].get("key"))[0]?.body).toEqual(body);
  expect(calls).toEqual(["match", "match"]);
});

test("a response is not returned once one of its groups was deleted, and deletions do not affect other tenants", async () => {
  const tenant = fc.constantFrom("t", "u");
  const group = fc.constantFrom("lists", "device 1", "device 2");
  const kind = fc.constantFrom("put", "get", "delete", "purge");
  const isolate = fc.nat(1);
  const step = fc.record({ kind, isolate, tenant, group });
  await fc.assert(
    fc.asyncProperty(fc.array(step, { maxLength: 20 }), async (steps) => {
      const { stores } = createTestStores(2);
      const expected = new Set<string>();
      const tenantsWithDeletions = new Set<string>();
      for (const { kind: action, isolate: index, tenant: name, group: leaf } of steps) {
        const store = stores[index] ?? stores[0];
        const key = JSON.stringify([name, leaf]);
        const [everything = "", part = ""] = groupsOf(name, leaf);
        if (action === "get") await store.get(key);
        if (action === "put") {
          await store.put(key, lastingEntry(key, [everything, part]));
          expected.add(key);
        }
        if (action !== "delete" && action !== "purge") continue;
        await store.deleteGroup(action === "purge" ? everything : part);
        tenantsWithDeletions.add(name);
        for (const other of expected) {
          const [otherTenant, otherLeaf] = JSON.parse(other) as string[];
          if (otherTenant === name && (action === "purge" || otherLeaf === leaf)) expected.delete(other);
        }
      }
      for (const name of ["t", "u"]) {
        for (const leaf of ["lists", "device 1", "device 2"]) {
          const key = JSON.stringify([name, leaf]);
          for (const store of stores) {
            const found = await store.get(key);
            if (!expected.has(key)) expect(found).toEqual([]);
            else if (!tenantsWithDeletions.has(name)) expect(found).toHaveLength(1);
          }
        }
      }
    }),
  );
});
