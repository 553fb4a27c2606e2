import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Clock, SqliteDatabase } from "@letta-environments/platform";
import { openSqlite, systemClock } from "@letta-environments/platform/node";
import { createVirtualClock } from "@letta-environments/testkit";
import { expect, onTestFinished, test } from "vitest";
import { createTestKeyRecord } from "../../../test/support/create-test-key-record.ts";
import { KeyStoreUnavailableError } from "../../keys/key-store-outages.ts";
import type { KeyStore } from "../../ports.ts";
import { createLockWaitingKeyStore, createSqliteKeyStore } from "./key-store.ts";

/** A key store over a file, and another connection that has locked it. */
function lockedStore(clock: Clock): {
  readonly keyStore: KeyStore;
  readonly other: SqliteDatabase;
  readonly release: () => void;
} {
  const folder = mkdtempSync(join(tmpdir(), "keys-"));
  const [database, other] = [openSqlite(join(folder, "proxy.sqlite")), openSqlite(join(folder, "proxy.sqlite"))];
  onTestFinished(() => {
    database.close();
    other.close();
    rmSync(folder, { recursive: true });
  });
  const plain = createSqliteKeyStore(database, clock);
  database.exec("PRAGMA busy_timeout = 0");
  other.exec("BEGIN EXCLUSIVE");
  const pause = (durationMs: number): Promise<void> =>
    new Promise((resolve) => void clock.setTimer(durationMs, resolve));
  const keyStore = createLockWaitingKeyStore(plain, { monotonic: clock.monotonic, pause });
  return { keyStore, other, release: () => other.exec("COMMIT") };
}

test("a change waits for a file that another process has locked, without blocking the event loop, and reads do not wait", async () => {
  const { keyStore, release } = lockedStore(systemClock);
  const created = keyStore.create(createTestKeyRecord());
  expect(await keyStore.list()).toEqual([]);
  // This timer would not run if the store blocked the event loop.
  setTimeout(release, 50);
  await created;
  expect(await keyStore.list()).toHaveLength(1);
});

test("a file that stays locked is an outage of the key store", async () => {
  const clock = createVirtualClock();
  const { keyStore } = lockedStore(clock);
  const recorded = keyStore.recordUse([{ id: "key-1", usedAt: 1 }]).catch((cause: Error) => cause.name);
  await clock.advance(5_020);
  expect(await recorded).toBe("KeyStoreUnavailableError");
});

test("a file that SQLite cannot use is an outage of the key store, for each read and each change", async () => {
  const clock = createVirtualClock();
  const { keyStore, other, release } = lockedStore(clock);
  other.exec("DROP TABLE key_uses; DROP TABLE keys; DROP TABLE key_changes");
  release();
  await clock.advance(20);
  for (const call of [
    () => keyStore.find("key-1"),
    () => keyStore.list(),
    () => keyStore.lastUses(),
    () => keyStore.create(createTestKeyRecord()),
    () => keyStore.update("key-1", (record) => record),
    () => keyStore.recordUse([{ id: "key-1", usedAt: 1 }]),
  ]) {
    await expect(call()).rejects.toThrow(KeyStoreUnavailableError);
  }
  expect(() => keyStore.generation()).toThrow(KeyStoreUnavailableError);
});
