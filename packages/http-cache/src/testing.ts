/** The module `@letta-environments/http-cache/testing`: tests that every store of a cache must pass, for any test library. */
import type { CacheEntry, CacheStore, MaybePromise } from "./ports.ts";

/** The functions of a test library: `test`, and a deep comparison that throws. */
export interface ContractTest {
  readonly test: (title: string, run: () => Promise<void>) => unknown;
  readonly equal: (actual: unknown, expected: unknown) => void;
}

/** Abilities that some stores lack. */
export interface ContractOptions {
  /** False if the store keeps only the last variant of a resource. Default: true. */
  readonly keepsVariants?: boolean;
  /** False if the functions of `begin` notice deleted groups, but not deleted keys. Default: true. */
  readonly noticesDeletedKeys?: boolean;
}

const nowMs = 1_800_000_000_000;

/** An entry that no clock of a store considers expired. */
function entry(text: string, changes: Partial<CacheEntry> = {}): CacheEntry {
  return {
    status: 200,
    headers: { "content-type": "text/plain", etag: `"${text}"`, date: "Fri, 15 Jan 2027 08:00:00 GMT" },
    body: new TextEncoder().encode(text),
    vary: [],
    variant: [],
    receivedAtMs: nowMs,
    initialAgeMs: 0,
    freshForMs: 60_000,
    staleWhileRevalidateMs: 0,
    staleIfErrorMs: 0,
    validatesAlways: false,
    isNeverStale: false,
    isImmutable: false,
    keepUntilMs: 8_000_000_000_000,
    groups: [],
    ...changes,
  };
}

/**
 * The contract of every {@link CacheStore}. Its entries are small, so a store must not evict them for space.
 *
 * @param createStore returns an empty store for each test
 */
export function storeContract(
  library: ContractTest,
  createStore: () => MaybePromise<CacheStore>,
  { keepsVariants = true, noticesDeletedKeys = true }: ContractOptions = {},
): void {
  testStorage(library, createStore, keepsVariants);
  testDeletion(library, createStore);
  testDeletedGroups(library, createStore);
  if (noticesDeletedKeys) testDeletedKeys(library, createStore);
}

function testStorage(
  { test, equal }: ContractTest,
  createStore: () => MaybePromise<CacheStore>,
  keepsVariants: boolean,
): void {
  test("an unknown key has no entries", async () => {
    equal(await get(await createStore(), "key"), []);
  });

  test("get returns exactly what was put, including every byte of the body", async () => {
    const store = await createStore();
    const put = entry("a", {
      body: Uint8Array.from({ length: 256 }, (_, index) => index),
      headers: { "set-cookie": "a=1\nb=2", "x-text": "ü", "cache-control": "max-age=1" },
      vary: ["accept"],
      variant: ["=text/html"],
      groups: ["g1", "g2"],
      initialAgeMs: 1_500,
      staleIfErrorMs: 3,
      staleWhileRevalidateMs: 2,
      isImmutable: true,
      isNeverStale: true,
      validatesAlways: true,
    });
    await store.put("key", put);
    equal(await get(store, "key"), [put]);
  });

  test("an empty body is stored as an empty body", async () => {
    const store = await createStore();
    await store.put("key", entry("", { status: 204 }));
    equal((await get(store, "key"))[0]?.body, new Uint8Array());
  });

  test("put copies the body, which its caller may write to afterwards", async () => {
    const store = await createStore();
    const [first, second] = [entry("first"), entry("second")];
    await store.put("key", first);
    const stored = await (await store.begin?.("other", []))?.(second);
    for (const { body } of [first, second]) body.fill(0);
    equal(await get(store, "key"), [entry("first")]);
    if (stored === true) equal(await get(store, "other"), [entry("second")]);
  });

  test("put replaces the entry of the same variant", async () => {
    const store = await createStore();
    await store.put("key", entry("old"));
    await store.put("key", entry("new"));
    equal(await get(store, "key"), [entry("new")]);
  });

  test(`variants of a resource ${keepsVariants ? "are stored side by side" : "replace each other"}`, async () => {
    const store = await createStore();
    const [german, english] = [
      { vary: ["a"], variant: ["=de"] },
      { vary: ["a"], variant: ["=en"] },
    ];
    await store.put("key", entry("de", german));
    await store.put("key", entry("en", english));
    await store.put("key", entry("de2", german));
    const texts = (await get(store, "key")).map(({ body }) => new TextDecoder().decode(body));
    equal(texts.toSorted(), keepsVariants ? ["de2", "en"] : ["de2"]);
  });

  test("keys that differ in any character are different keys", async () => {
    const store = await createStore();
    const keys = ["k", "K", "k ", "k\u0000", "k/", "ü", "u\u0308", "", "__proto__"];
    for (const key of keys) await store.put(key, entry(`of ${key}`));
    for (const key of keys) equal(await get(store, key), [entry(`of ${key}`)]);
  });
}

function testDeletion({ test, equal }: ContractTest, createStore: () => MaybePromise<CacheStore>): void {
  test("delete removes every variant of the key and nothing else", async () => {
    const store = await createStore();
    await store.put("key", entry("de", { vary: ["a"], variant: ["=de"] }));
    await store.put("key", entry("en", { vary: ["a"], variant: ["=en"] }));
    await store.put("other", entry("other"));
    await store.delete("key");
    await store.delete("unknown");
    equal(await get(store, "key"), []);
    equal(await get(store, "other"), [entry("other")]);
  });

  test("deleteGroup removes the entries of the group and nothing else", async () => {
    const store = await createStore();
    await store.put("one", entry("1", { groups: ["g", "h"] }));
    await store.put("two", entry("2", { groups: ["g"] }));
    await store.put("three", entry("3", { groups: ["h"] }));
    await store.deleteGroup("g");
    await store.deleteGroup("unknown");
    equal(await get(store, "one"), []);
    equal(await get(store, "two"), []);
    equal((await get(store, "three")).length, 1);
  });

  test("deleteGroup keeps an entry whose replaced version was in the group", async () => {
    const store = await createStore();
    await store.put("key", entry("old", { groups: ["g"] }));
    await store.put("key", entry("new"));
    await store.deleteGroup("g");
    equal(await get(store, "key"), [entry("new")]);
  });

  test("an entry that was read does not change when it is replaced or deleted", async () => {
    const store = await createStore();
    await store.put("key", entry("old"));
    const [read] = await store.get("key");
    for (let index = 0; index < 100; index++) await store.put("key", entry(`new ${index}`));
    await store.delete("key");
    equal(read === undefined ? null : copy(read), entry("old"));
  });
}

/** A store without `begin` belongs to one process, so there is nothing to notice. */
function testDeletedGroups({ test, equal }: ContractTest, createStore: () => MaybePromise<CacheStore>): void {
  test("a response that was requested before one of its groups was deleted is not returned", async () => {
    const store = await createStore();
    const [before, other] = [await store.begin?.("key", ["g", "h"]), await store.begin?.("other", ["h"])];
    await store.deleteGroup("g");
    const after = await store.begin?.("after", ["g", "h"]);
    await before?.(entry("before", { groups: ["g", "h"] }));
    await other?.(entry("other", { groups: ["h"] }));
    await after?.(entry("after", { groups: ["g", "h"] }));
    equal(await get(store, "key"), []);
    equal(await get(store, "other"), other === undefined ? [] : [entry("other", { groups: ["h"] })]);
    equal(await get(store, "after"), after === undefined ? [] : [entry("after", { groups: ["g", "h"] })]);
  });
}

function testDeletedKeys({ test, equal }: ContractTest, createStore: () => MaybePromise<CacheStore>): void {
  test("a response that was requested before its key was deleted is not stored", async () => {
    const store = await createStore();
    const [before, other] = [await store.begin?.("key", []), await store.begin?.("other", [])];
    await store.delete("key");
    const after = await store.begin?.("key", []);
    if (before === undefined || other === undefined || after === undefined) return;
    equal(await before(entry("before")), false);
    equal(await get(store, "key"), []);
    equal([await other(entry("other")), await after(entry("after"))], [true, true]);
    equal([await get(store, "other"), await get(store, "key")], [[entry("other")], [entry("after")]]);
  });
}

async function get(store: CacheStore, key: string): Promise<CacheEntry[]> {
  return (await store.get(key)).map(copy);
}

/** Copies an entry to plain data, whatever kind of object a store returns. */
function copy(stored: CacheEntry): CacheEntry {
  return {
    status: stored.status,
    headers: { ...stored.headers },
    body: new Uint8Array(stored.body),
    vary: stored.vary,
    variant: stored.variant,
    receivedAtMs: stored.receivedAtMs,
    initialAgeMs: stored.initialAgeMs,
    freshForMs: stored.freshForMs,
    staleWhileRevalidateMs: stored.staleWhileRevalidateMs,
    staleIfErrorMs: stored.staleIfErrorMs,
    validatesAlways: stored.validatesAlways,
    isNeverStale: stored.isNeverStale,
    isImmutable: stored.isImmutable,
    keepUntilMs: stored.keepUntilMs,
    groups: stored.groups,
  };
}
