import type { Clock } from "@letta-environments/platform";
import { createVirtualClock, type VirtualClock } from "@letta-environments/testkit";
import { describe, expect, test } from "vitest";
import { revokeKey } from "../src/keys/change-key.ts";
import { createKey } from "../src/keys/create-key.ts";
import type { KeyRecord } from "../src/keys/key-record.ts";
import type { KeyStore } from "../src/ports.ts";
import { testMint } from "./support/test-proxy.ts";

/** How a store is opened: `connect` gives a further view on the same keys, as another process would have one. */
export interface KeyStoreUnderTest {
  connect(clock: Clock): KeyStore;
}

/** What every {@link KeyStore} must do. */
export function describeKeyStore(name: string, open: () => KeyStoreUnderTest): void {
  function setUp(): { store: KeyStore; other: KeyStore; clock: VirtualClock } {
    const clock = createVirtualClock();
    const underTest = open();
    return { store: underTest.connect(clock), other: underTest.connect(clock), clock };
  }

  describe(`the key store ${name}`, () => {
    test("finds a key as it was created, and null for an unknown id", async () => {
      const { store } = setUp();
      const record = newRecord({ deviceIds: ["d1"], expiresAt: 5, shared: true, name: "naïve ☂ '\"" });
      await store.create(record);
      expect(await store.find(record.id)).toEqual(record);
      expect(await store.find("unknown")).toBeNull();
    });

    test("takes no second key under one id", async () => {
      const { store } = setUp();
      const record = newRecord();
      await store.create(record);
      await expect(store.create({ ...record, name: "other" })).rejects.toBeInstanceOf(Error);
      expect(await store.find(record.id)).toEqual(record);
    });

    test("lists keys by creation, then by id", async () => {
      const { store } = setUp();
      const [late, early, same] = [newRecord({}, 20), newRecord({}, 10), newRecord({}, 10)];
      for (const record of [late, early, same]) await store.create(record);
      const byId = [early, same].toSorted((left, right) => (left.id < right.id ? -1 : 1));
      expect(await store.list()).toEqual([...byId, late]);
    });

    test("changes a key in one step and tells the new record", async () => {
      const { store } = setUp();
      const record = newRecord();
      await store.create(record);
      const revoked = { ...record, revokedAt: 9 };
      expect(await store.update(record.id, (current) => revokeKey(current, 9))).toEqual(revoked);
      expect(await store.find(record.id)).toEqual(revoked);
      expect(await store.update("unknown", (current) => current)).toBeNull();
    });

    test("leaves a key as it was when its change throws", async () => {
      const { store } = setUp();
      const record = newRecord();
      await store.create(record);
      const failing = store.update(record.id, () => {
        throw new Error("no");
      });
      await expect(failing).rejects.toThrow("no");
      expect(await store.find(record.id)).toEqual(record);
    });

    test("tells its own changes by the generation at once", async () => {
      const { store } = setUp();
      const before = store.generation();
      const record = newRecord();
      await store.create(record);
      const created = store.generation();
      expect(created).not.toBe(before);
      await store.update(record.id, (current) => revokeKey(current, 9));
      expect(store.generation()).not.toBe(created);
      expect(store.generation()).toBe(store.generation());
    });

    test("shows another process's changes, and tells them by the generation within 50 ms", async () => {
      const { store, other, clock } = setUp();
      const before = store.generation();
      const record = newRecord();
      await other.create(record);
      expect(await store.find(record.id)).toEqual(record);
      await clock.advance(50);
      const created = store.generation();
      expect(created).not.toBe(before);
      await other.update(record.id, (current) => revokeKey(current, 9));
      await clock.advance(50);
      expect(store.generation()).not.toBe(created);
    });
  });
}

function newRecord(overrides: Partial<KeyRecord> = {}, createdAt: number = 1): KeyRecord {
  const request = {
    name: "n",
    tenant: "default",
    scopes: ["list"] as const,
    deviceIds: null,
    shared: false,
    expiresAt: null,
  };
  return { ...createKey(request, createdAt, testMint).record, ...overrides };
}
