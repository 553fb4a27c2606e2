import { expect, test } from "vitest";
import type { KeyRecord } from "../src/keys/key-record.ts";
import type { KeyStore } from "../src/ports.ts";
import { createTestKeyRecord as newRecord } from "./support/create-test-key-record.ts";

/** Tests the part of the contract of {@link KeyStore} that lists of keys need. `open` returns an empty store. */
export function describeKeyList(open: () => Promise<KeyStore>): void {
  test("the store lists keys by creation, then by id", async () => {
    const store = await open();
    const [late, early, same] = [newRecord({}, 20), newRecord({}, 10), newRecord({}, 10)];
    for (const record of [late, early, same]) await store.create(record);
    const byId = [early, same].toSorted((left, right) => (left.id < right.id ? -1 : 1));
    expect(await store.list()).toEqual([...byId, late]);
  });

  test("the store selects the first keys after another one that match, in the order of the list", async () => {
    const store = await open();
    for (const createdAt of [3, 1, 2, 2, 2]) await store.create(newRecord({}, createdAt));
    const keys = await store.list();
    for (const limit of [1, 2, 5, 6])
      for (const [index, after] of [undefined, ...keys.map(({ id }) => id)].entries()) {
        const rest = keys.slice(index);
        expect(await store.list({ after, limit, matches: () => true })).toEqual(rest.slice(0, limit));
        const matches = ({ createdAt }: KeyRecord): boolean => createdAt !== 2;
        expect(await store.list({ after, limit, matches })).toEqual(rest.filter(matches).slice(0, limit));
      }
  });

  test("the store returns the last uses of the keys that are asked for, and of every key when none is named", async () => {
    const store = await open();
    const [used, other, unused] = [newRecord(), newRecord(), newRecord()];
    for (const record of [used, other, unused]) await store.create(record);
    await store.recordUse([
      { id: used.id, usedAt: 10 },
      { id: other.id, usedAt: 20 },
    ]);
    const asked = await store.lastUses([used.id, unused.id]);
    expect([asked.get(used.id), asked.has(unused.id)]).toEqual([10, false]);
    expect((await store.lastUses([])).has(unused.id)).toBe(false);
    expect((await store.lastUses()).size).toBe(2);
  });
}
