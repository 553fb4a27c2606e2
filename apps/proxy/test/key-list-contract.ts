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

  test("a page of long keys ends after 512 Ki characters, and the next one continues there", async () => {
    const store = await open();
    const agentIds = Array.from({ length: 2_000 }, () => "é".repeat(147));
    const records = [1, 2, 3].map((createdAt) => newRecord({ agentIds }, createdAt));
    for (const record of records) await store.create(record);
    const page = async (after?: string): Promise<readonly KeyRecord[]> =>
      store.list({ after, limit: 3, matches: () => true });
    expect([await page(), await page(records[1]?.id)]).toEqual([records.slice(0, 2), records.slice(2)]);
  });

  test("a list for a tenant reads no record of another tenant", async () => {
    const store = await open();
    const own = [2, 4].map((createdAt) => newRecord({ tenant: 'o"wn' }, createdAt));
    const others = [1, 3].map((createdAt) => newRecord({ description: '"tenant":"o\\"wn"' }, createdAt));
    for (const record of [...others, ...own]) await store.create(record);
    const seen: string[] = [];
    const matches = ({ id }: KeyRecord): boolean => seen.push(id) > 0;
    for (const after of [undefined, others[0]?.id, own[0]?.id]) {
      const expected = after === own[0]?.id ? own.slice(1) : own;
      expect(await store.list({ after, limit: 5, matches, tenant: own[0]?.tenant })).toEqual(expected);
    }
    expect(new Set(seen)).toEqual(new Set(own.map(({ id }) => id)));
  });

  test("a summary has the peppers, the tenants with a live key, and which of them can call an upstream", async () => {
    const store = await open();
    expect(await store.summarize(5)).toEqual({ isEmpty: true, live: new Map(), pepperIds: new Set() });
    const secret = (pepperId: string): KeyRecord["secrets"][number] => {
      return { digest: "d", pepperId, createdAt: 1, expiresAt: null };
    };
    await store.create(newRecord({ tenant: "revoked", revokedAt: 9, secrets: [] }));
    expect(await store.summarize(5)).toEqual({ isEmpty: false, live: new Map(), pepperIds: new Set() });
    for (const record of [
      newRecord({ tenant: "expired", expiresAt: 5, scopes: ["list"], secrets: [secret("a")] }),
      newRecord({ tenant: "revoked", revokedAt: 4, expiresAt: 6, scopes: ["list"], secrets: [secret("a")] }),
      newRecord({ tenant: "admin", expiresAt: 6, scopes: ["admin", "connect"], secrets: [secret("b")] }),
      newRecord({
        tenant: 'ca"llers é',
        disabledAt: 1,
        scopes: ["admin", "send"],
        secrets: [secret("a"), secret("c")],
      }),
      newRecord({ tenant: 'ca"llers é', scopes: ["connect"], secrets: [secret("a")] }),
      newRecord({ tenant: "both", scopes: ["connect"], secrets: [secret("a")] }),
      newRecord({ tenant: "both", scopes: ["read", "list"], secrets: [secret("a")] }),
    ])
      await store.create(record);
    expect(await store.summarize(5)).toEqual({
      isEmpty: false,
      live: new Map(Object.entries({ admin: false, both: true, 'ca"llers é': true })),
      pepperIds: new Set(["a", "b", "c"]),
    });
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
