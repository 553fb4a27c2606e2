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
 * Wraps a key store in a SQLite file with a `busy_timeout` of 0. A change waits for a file that another process has locked, without
 * blocking the event loop, and then rejects with KeyStoreUnavailableError. Reads are not locked out (write-ahead log). Those of every request fail
 * with the same error when SQLite cannot read the file.
 */
export function createLockWaitingKeyStore(keyStore: KeyStore, time: SqliteRetryTime): KeyStore {
  const retry = createSqliteRetry(time, maxWaitMs);

  async function write<Result>(run: () => Promise<Result>): Promise<Result> {
    try {
      return await retry.write(run);
    } catch (cause) {
      throw cause instanceof SqliteLockedError ? new KeyStoreUnavailableError({ cause }) : cause;
    }
  }

  function failRead(cause: unknown): never {
    throw isSqliteError(cause) ? new KeyStoreUnavailableError({ cause }) : cause;
  }

  return {
    ...keyStore,
    find: (id) => keyStore.find(id).catch(failRead),
    generation() {
      try {
        return keyStore.generation();
      } catch (cause) {
        return failRead(cause);
      }
    },
    create: (record) => write(() => keyStore.create(record)),
    update: (id, change) => write(() => keyStore.update(id, change)),
    recordUse: (uses) => write(() => keyStore.recordUse(uses)),
  };
}
