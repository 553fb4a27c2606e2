import { deepStrictEqual } from "node:assert";
import { expect, test } from "vitest";
import { type CacheEntry, type CacheStore, isSameVariant } from "../src/index.ts";
import { type ContractOptions, storeContract } from "../src/testing.ts";

/** A step that a store leaves out. */
type Fault = "copy bodies" | "notice deleted keys" | "notice deleted groups";

/** A store as several processes would share it. */
function createSharedStore(fault: Fault | null): CacheStore {
  const stored = new Map<string, readonly CacheEntry[]>();
  const deletedAt = new Map<string, number>();
  let now = 0;
  const put = (key: string, entry: CacheEntry): void => {
    const others = (stored.get(key) ?? []).filter((other) => !isSameVariant(other, entry));
    stored.set(key, [...others, fault === "copy bodies" ? entry : { ...entry, body: entry.body.slice() }]);
  };
  return {
    get: (key) => stored.get(key) ?? [],
    put,
    delete(key) {
      if (fault !== "notice deleted keys") deletedAt.set(`key ${key}`, ++now);
      stored.delete(key);
    },
    deleteGroup(group) {
      if (fault !== "notice deleted groups") deletedAt.set(`group ${group}`, ++now);
      for (const [key, entries] of stored) {
        stored.set(
          key,
          entries.filter(({ groups }) => !groups.includes(group)),
        );
      }
    },
    begin(key) {
      const begunAt = ++now;
      return (entry) => {
        const names = [`key ${key}`, ...entry.groups.map((group) => `group ${group}`)];
        if (names.some((name) => (deletedAt.get(name) ?? 0) > begunAt)) return false;
        put(key, entry);
        return true;
      };
    },
  };
}

/** The tests of the contract that a store fails. */
async function failuresOf(createStore: () => CacheStore, options: ContractOptions = {}): Promise<string[]> {
  const tests: (readonly [string, () => Promise<void>])[] = [];
  storeContract({ test: (title, run) => tests.push([title, run]), equal: deepStrictEqual }, createStore, options);
  const failed: string[] = [];
  for (const [title, run] of tests) await run().catch(() => failed.push(title));
  return failed;
}

test.each([
  [null, []],
  ["copy bodies", ["put copies the body, which its caller may write to afterwards"]],
  ["notice deleted keys", ["a response that was requested before its key was deleted is not stored"]],
  ["notice deleted groups", ["a response that was requested before one of its groups was deleted is not returned"]],
] as const)("the contract detects a faulty shared store: %s", async (fault, failures) => {
  expect(await failuresOf(() => createSharedStore(fault))).toEqual(failures);
});

test("a store that does not detect deleted keys passes the contract without that test", async () => {
  const create = (): CacheStore => createSharedStore("notice deleted keys");
  expect(await failuresOf(create, { noticesDeletedKeys: false })).toEqual([]);
});
