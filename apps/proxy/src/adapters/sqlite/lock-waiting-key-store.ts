import {
  createSqliteRetry,
  isSqliteError,
  SqliteLockedError,
  type SqliteRetryTime,
} from "@letta-environments/platform";
import { KeyStoreUnavailableError } from "../../keys/key-store-outages.ts";
import type { KeyStore } from "../../ports.ts";

/** How long a change waits for another process's lock, such as that of a command, in milliseconds. */
const maxWaitMs = 5_000;

/**
 * Wraps a key store in a SQLite file with a `busy_timeout` of 0. A change waits for another process's lock without blocking the event loop, and
 * rejects with KeyStoreUnavailableError if it takes too long. Locks do not affect reads (write-ahead log). Reads and changes also reject with it
 * when SQLite cannot use the file.
 */
export function createLockWaitingKeyStore(keyStore: KeyStore, time: SqliteRetryTime): KeyStore {
  const retry = createSqliteRetry(time, maxWaitMs);

  function fail(cause: unknown): never {
    const isOutage = cause instanceof SqliteLockedError || isSqliteError(cause);
    throw isOutage ? new KeyStoreUnavailableError({ cause }) : cause;
  }

  const write = <Result>(run: () => Promise<Result>): Promise<Result> => retry.write(run).catch(fail);

  return {
    ...keyStore,
    find: (id) => keyStore.find(id).catch(fail),
    list: () => keyStore.list().catch(fail),
    lastUses: () => keyStore.lastUses().catch(fail),
    generation() {
      try {
        return keyStore.generation();
      } catch (cause) {
        return fail(cause);
      }
    },
    create: (record) => write(() => keyStore.create(record)),
    update: (id, change) => write(() => keyStore.update(id, change)),
    recordUse: (uses) => write(() => keyStore.recordUse(uses)),
  };
}
