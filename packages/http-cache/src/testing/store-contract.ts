import type { StoredResponse } from "../decide/stored-response.ts";
import type { CacheStore, MaybePromise } from "../ports.ts";

/** The functions of a test library, so that this module depends on none: `test` and a deep comparison that throws. */
export interface ContractTest {
  readonly test: (title: string, run: () => Promise<void>) => void;
  readonly equal: (actual: unknown, expected: unknown) => void;
}

const nowMs = 1_800_000_000_000;

/** An answer for the contract; `keepUntilMs` lies far ahead of any clock a store may use. */
function answer(text: string, changes: Partial<StoredResponse> = {}): StoredResponse {
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
 * What every {@link CacheStore} must hold. It covers what is small enough never to be forgotten for space.
 *
 * @param createStore gives an empty store for each test
 * @param keepsVariants false where of a resource the last answer alone is kept
 */
export function storeContract(
  { test, equal }: ContractTest,
  createStore: () => MaybePromise<CacheStore>,
  keepsVariants = true,
): void {
  const get = async (store: CacheStore, key: string): Promise<StoredResponse[]> => (await store.get(key)).map(copy);

  test("an unknown key has no answers", async () => {
    equal(await get(await createStore(), "key"), []);
  });

  test("what is given back is what was put, bytes included", async () => {
    const store = await createStore();
    const put = answer("a", {
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

  test("an empty body stays one", async () => {
    const store = await createStore();
    await store.put("key", answer("", { status: 204 }));
    equal((await get(store, "key"))[0]?.body, new Uint8Array());
  });

  test("another answer of the same variant replaces the first", async () => {
    const store = await createStore();
    await store.put("key", answer("old"));
    await store.put("key", answer("new"));
    equal(await get(store, "key"), [answer("new")]);
  });

  test(`variants of a resource ${keepsVariants ? "lie side by side" : "replace each other"}`, async () => {
    const store = await createStore();
    const [german, english] = [
      { vary: ["a"], variant: ["=de"] },
      { vary: ["a"], variant: ["=en"] },
    ];
    await store.put("key", answer("de", german));
    await store.put("key", answer("en", english));
    await store.put("key", answer("de2", german));
    const texts = (await get(store, "key")).map(({ body }) => new TextDecoder().decode(body));
    equal(texts.toSorted(), keepsVariants ? ["de2", "en"] : ["de2"]);
  });

  test("keys that differ in anything are different", async () => {
    const store = await createStore();
    const keys = ["k", "K", "k ", "k\u0000", "k/", "ü", "u\u0308", "", "__proto__"];
    for (const key of keys) await store.put(key, answer(`of ${key}`));
    for (const key of keys) equal(await get(store, key), [answer(`of ${key}`)]);
  });

  test("delete forgets every variant, and nothing else", async () => {
    const store = await createStore();
    await store.put("key", answer("de", { vary: ["a"], variant: ["=de"] }));
    await store.put("key", answer("en", { vary: ["a"], variant: ["=en"] }));
    await store.put("other", answer("other"));
    await store.delete("key");
    await store.delete("unknown");
    equal(await get(store, "key"), []);
    equal(await get(store, "other"), [answer("other")]);
  });

  test("deleting a group forgets the answers that belong to it, and nothing else", async () => {
    const store = await createStore();
    await store.put("one", answer("1", { groups: ["g", "h"] }));
    await store.put("two", answer("2", { groups: ["g"] }));
    await store.put("three", answer("3", { groups: ["h"] }));
    await store.deleteGroup("g");
    await store.deleteGroup("unknown");
    equal(await get(store, "one"), []);
    equal(await get(store, "two"), []);
    equal((await get(store, "three")).length, 1);
  });

  test("an answer that left a group by being replaced survives the group", async () => {
    const store = await createStore();
    await store.put("key", answer("old", { groups: ["g"] }));
    await store.put("key", answer("new"));
    await store.deleteGroup("g");
    equal(await get(store, "key"), [answer("new")]);
  });

  test("an answer that was read stays what it is when its entry is replaced and deleted", async () => {
    const store = await createStore();
    await store.put("key", answer("old"));
    const [read] = await store.get("key");
    for (let index = 0; index < 100; index++) await store.put("key", answer(`new ${index}`));
    await store.delete("key");
    equal(read === undefined ? null : copy(read), answer("old"));
  });
}

/** The members of an answer as plain data, whatever kind of object a store gives back. */
function copy(stored: StoredResponse): StoredResponse {
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
