import { setImmediate } from "node:timers/promises";
import fc from "fast-check";
import { expect, test } from "vitest";
import { entryOf } from "../../test/entry.ts";
import type { CacheEntry, CacheStore } from "../ports.ts";
import { type CacheFailure, GuardedStore } from "./guarded-store.ts";
import type { Recency } from "./strategy.ts";

const entry = entryOf(0, { groups: ["group"] });
const all = (entries: readonly CacheEntry[]): readonly CacheEntry[] => entries;
const recency: Recency = { dateMs: null, isUpdate: false, matches: () => true };

/** A remote store whose writes finish when the returned functions are called, in this order. */
function createSlowStore() {
  const stored = new Map<string, CacheEntry>();
  const writes: (() => void)[] = [];
  const remote: CacheStore = {
    get: async (key) => [stored.get(key)].filter((found) => found !== undefined),
    put: (key, added) =>
      new Promise<void>((resolve) => {
        writes.push(() => {
          stored.set(key, added);
          resolve();
        });
      }),
    delete: async (key) => void stored.delete(key),
    deleteGroup: async () => stored.clear(),
  };
  return { store: new GuardedStore(remote, () => undefined), writes };
}

test("an explicit invalidation rejects if the store fails, after all deletions were tried; an invalidation by a response does not", async () => {
  const deleted: string[] = [];
  const failures: CacheFailure[] = [];
  const remove = (name: string): void => {
    if (name.startsWith("bad")) throw new Error(name);
    deleted.push(name);
  };
  const remote: CacheStore = {
    get: () => [],
    put: () => undefined,
    delete: remove,
    deleteGroup: async (group) => remove(group),
  };
  const store = new GuardedStore(remote, (failure) => void failures.push(failure));
  const invalidation = { keys: ["bad key", "key"], groups: ["bad group", "group"] };
  await expect(store.invalidate(invalidation)).rejects.toThrow("bad key");
  await expect(store.invalidate({ groups: ["bad group"] })).rejects.toThrow("bad group");
  await store.begin("key", null).invalidateOthers(invalidation);
  expect(deleted).toEqual(["key", "group", "key", "group"]);
  expect(failures).toEqual(Array(5).fill("store-delete"));
});

test("after a failed write whose report throws, invalidations resolve as soon as the store works", async () => {
  const remote: CacheStore = {
    get: () => [],
    put: () => Promise.reject(new Error("down")),
    delete: () => undefined,
    deleteGroup: () => undefined,
  };
  const store = new GuardedStore(remote, () => {
    throw new Error("logger failed");
  });
  const put = Promise.resolve(store.begin("key", null).put(entry, recency));
  const during = store.invalidate({ keys: ["key"] });
  await expect(put).rejects.toThrow("logger failed");
  await expect(during).resolves.toBeUndefined();
  await expect(store.invalidate({ keys: ["key"] })).resolves.toBeUndefined();
});

test("a response that is invalidated while it is written to a remote store is deleted again, before the invalidation resolves", async () => {
  for (const invalidation of [{ keys: ["key"] }, { groups: ["group"] }]) {
    const { store, writes } = createSlowStore();
    const put = store.begin("key", null).put(entry, recency);
    let found: unknown;
    const invalidated = store.invalidate(invalidation).then(async () => void (found = await store.get("key", all)));
    await store.invalidate({ keys: ["other"], groups: ["other"] });
    await setImmediate();
    expect(found).toBe(undefined);
    for (const write of writes) write();
    expect(await put).toBe("outdated");
    await invalidated;
    expect(found).toEqual([]);
  }
});

test("an invalidation rejects if a response written in the meantime remains", async () => {
  let [land, isUp] = [(): void => undefined, true];
  const failures: CacheFailure[] = [];
  const remove = (): Promise<void> => (isUp ? Promise.resolve() : Promise.reject(new Error("down")));
  const put = (): Promise<void> => new Promise((resolve) => (land = resolve));
  const remote: CacheStore = { get: () => [], put, delete: remove, deleteGroup: remove };
  const store = new GuardedStore(remote, (failure) => void failures.push(failure));
  const written = store.begin("key", null).put(entry, recency);
  const invalidated = store.invalidate({ groups: ["group"] });
  isUp = false;
  land();
  expect(await written).toBe("outdated");
  await expect(invalidated).rejects.toThrow("down");
  expect(failures).toEqual(["store-delete", "store-delete"]);
});

test("a response is not written while one that was requested later is written", async () => {
  const { store, writes } = createSlowStore();
  const [older, newer] = [store.begin("key", null), store.begin("key", null)];
  const put = newer.put(entry, recency);
  expect(older.put({ ...entry }, recency)).toBe("superseded");
  for (const write of writes) write();
  expect(await put).toBe(null);
  expect(await store.get("key", all)).toEqual([entry]);
});

test("the older of two overlapping responses never stays", async () => {
  for (const order of [
    [0, 1],
    [1, 0],
  ]) {
    const { store, writes } = createSlowStore();
    const [older, newer] = [store.begin("key", null), store.begin("key", null)];
    const [first, second] = [older.put({ ...entry }, recency), newer.put(entry, recency)];
    for (const index of order) writes[index]?.();
    expect([await first, await second]).toEqual(["outdated", null]);
    for (const found of await store.get("key", all)) expect(found).toBe(entry);
  }
});

test("neither of two overlapping responses stays if it is unknown which one is newer", async () => {
  for (const order of [
    [0, 1],
    [1, 0],
  ]) {
    const { store, writes } = createSlowStore();
    const requests = [store.begin("key", null), store.begin("key", null)];
    // The one that was requested first has the later `Date`.
    const puts = order.map((index) =>
      requests[index]?.put({ ...entry }, { ...recency, dateMs: 2_000 - 1_000 * index }),
    );
    for (const write of writes) write();
    expect([await puts[0], await puts[1]]).toEqual(["outdated", "outdated"]);
    expect(await store.get("key", all)).toEqual([]);
  }
});

test("a response is superseded only while a newer one is stored or written", async () => {
  const { store } = createSharedStore(() => () => Promise.resolve(false));
  const [older, newer] = [store.begin("key", []), store.begin("key", [])];
  await Promise.all([older.ready, newer.ready]);
  const put = newer.put(entry, recency);
  expect([older.put(entry, recency), older.isNewerUnread()]).toEqual(["superseded", true]);
  await put;
  expect(older.isNewerUnread()).toBe(false);
  expect(older.put(entry, recency)).toBe("outdated");
});

test("if it is unknown whether a response is newer than one that was not stored, it is not stored either, and nothing is deleted", async () => {
  const deleted: string[] = [];
  const nothing = { get: () => [], put: () => undefined, deleteGroup: () => undefined };
  const store = new GuardedStore({ ...nothing, delete: (key) => void deleted.push(key) }, () => undefined);
  const [first, second] = [store.begin("key", null), store.begin("key", null)];
  await second.invalidateStored({ ...recency, dateMs: 1_000 }, false);
  expect(first.put(entry, { ...recency, dateMs: 2_000 })).toBe("outdated");
  expect(deleted).toEqual([]);
});

test("a request that ended is forgotten, and the next one is stored", () => {
  const { store } = createSlowStore();
  const [first, second] = [store.begin("key", null), store.begin("key", null)];
  void second.put(entry, recency);
  for (const request of [first, second]) request.end();
  expect(store.begin("key", null).put(entry, recency)).toBeInstanceOf(Promise);
});

const overlapping = fc.array(
  fc.record({
    dateMs: fc.integer({ min: 0, max: 3 }),
    isStorable: fc.nat(9).map((number) => number > 0),
    fails: fc.nat(9).map((number) => number === 0),
  }),
  { minLength: 2, maxLength: 6 },
);

test("the stored response is always the newest, however requests and writes overlap", async () => {
  let kept = 0;
  await fc.assert(
    fc.asyncProperty(fc.scheduler(), overlapping, async (scheduler, responses) => {
      let stored: CacheEntry | null = null;
      const step = (label: string) => scheduler.schedule(Promise.resolve(), label);
      const remote: CacheStore = {
        get: () => [],
        async put(_, added) {
          await step("write");
          if (added.status === 500) throw new Error("full");
          stored = added;
        },
        async delete() {
          await step("delete");
          stored = null;
        },
        deleteGroup: () => undefined,
      };
      const store = new GuardedStore(remote, () => undefined);
      // All are sent before the first arrives, so every two of them overlap.
      const sent = responses.map((response) => ({ ...response, request: store.begin("key", null) }));
      const arrivals = sent.map(async ({ request, dateMs, isStorable, fails }, index) => {
        await step("arrival");
        const dated = { ...recency, dateMs };
        const arrived = { ...entry, status: fails ? 500 : 200, receivedAtMs: index };
        const refusal = isStorable ? await request.put(arrived, dated) : "store-failed";
        if (refusal === "store-failed") await request.invalidateStored(dated, false);
        request.end();
      });
      await scheduler.waitFor(Promise.all(arrivals));
      const last = (stored as CacheEntry | null)?.receivedAtMs;
      if (last === undefined) return;
      kept += 1;
      const newer = responses.filter(({ dateMs }, index) => index > last && dateMs >= (responses[last]?.dateMs ?? 0));
      expect(newer).toEqual([]);
    }),
    { numRuns: 1_000 },
  );
  // If two writes overlapped, nothing is stored.
  expect(kept).toBeGreaterThan(150);
});

/** A store that several processes share, and what it has stored. */
function createSharedStore(begin: NonNullable<CacheStore["begin"]>) {
  const failures: CacheFailure[] = [];
  const plain: CacheStore = {
    get: () => [],
    put: () => undefined,
    delete: () => undefined,
    deleteGroup: () => undefined,
  };
  const store = new GuardedStore({ ...plain, begin }, (failure) => void failures.push(failure));
  return { store, failures };
}

test("a shared store is notified before the request is sent, and decides whether the response is stored", async () => {
  const begun: unknown[] = [];
  for (const isStored of [true, false]) {
    const { store } = createSharedStore(async (...given) => {
      begun.push(given);
      return () => Promise.resolve(isStored);
    });
    const request = store.begin("key", ["group"]);
    await request.ready;
    expect(await request.put(entry, recency)).toBe(isStored ? null : "outdated");
  }
  expect(begun).toEqual(Array.from({ length: 2 }, () => ["key", ["group"]]));
});

test("a response is not stored if the shared store was not notified of its request", async () => {
  const { store, failures } = createSharedStore(() => Promise.reject(new Error("down")));
  const request = store.begin("key", ["group"]);
  await request.ready;
  expect(await request.put(entry, recency)).toBe("store-failed");
  expect(failures).toEqual(["store-put"]);
});

test("a response that will not be stored causes no call to a shared store", () => {
  const { store } = createSharedStore(() => {
    throw new Error("it was called");
  });
  expect(store.begin("key", null).ready).toBe(null);
});

test("a response that invalidates others is not stored when another process has invalidated it since its request", async () => {
  const deletions = new Map<string, number>();
  const stored = new Map<string, CacheEntry>();
  const countDeletion = (name: string): void => void deletions.set(name, (deletions.get(name) ?? 0) + 1);
  const shared: CacheStore = {
    get: () => [],
    put: () => undefined,
    delete: countDeletion,
    deleteGroup: countDeletion,
    begin(key) {
      const before = new Map(deletions);
      return async (added) => {
        const isCurrent = [key, ...added.groups].every((name) => deletions.get(name) === before.get(name));
        if (isCurrent) stored.set(key, added);
        return isCurrent;
      };
    },
  };
  const [here, elsewhere] = [new GuardedStore(shared, () => undefined), new GuardedStore(shared, () => undefined)];
  const request = here.begin("key", ["group"]);
  await request.ready;
  await elsewhere.invalidate({ groups: ["group"] });
  await request.invalidateOthers({ keys: ["other"], groups: [] });
  expect(await request.put(entry, recency)).toBe("outdated");
  expect([...stored]).toEqual([]);
  const next = here.begin("key", ["group"]);
  await next.ready;
  await next.invalidateOthers({ keys: ["other"], groups: [] });
  expect(await next.put(entry, recency)).toBe(null);
  expect([...stored.keys()]).toEqual(["key"]);
});
