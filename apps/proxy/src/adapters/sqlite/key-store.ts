/**
 * Gateway keys in a SQLite file. Several processes may share the file: a command changes a key, and a running gateway notices it by
 * SQLite's `data_version`, which changes with every commit of another connection, and by a count of key changes, which uses do not
 * increase.
 */
import {
  type Clock,
  createSqliteRetry,
  isSqliteError,
  migrateSqlite,
  sleep,
  type SqliteDatabase,
  SqliteLockedError,
  type SqliteRetryTime,
  type SqliteRow,
} from "@letta-environments/platform";
import { changeKeyRecord, type KeyRecord, readKeyRecord } from "../../keys/key-record.ts";
import { KeyStoreUnavailableError } from "../../keys/key-store-outages.ts";
import type { KeyStore } from "../../ports.ts";
import { keysPerPart, maxPartLength, type ReadKeyPart, searchKeys } from "../key-search.ts";
import { keyIndexes, prepareKeyParts } from "./key-parts.ts";

/**
 * The tables of keys. Triggers count every change of a key, but not its uses. Durable Objects execute them at each start, without a version. So a new
 * column is not added here, but needs a step in {@link createSqliteKeyStore}, and its own check in `adapters/cloudflare/key-object.ts`.
 */
export const keyTables = `
  CREATE TABLE IF NOT EXISTS keys (
    id TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL,
    record TEXT NOT NULL
  ) STRICT;
  CREATE TABLE IF NOT EXISTS key_uses (
    id TEXT PRIMARY KEY,
    used_at INTEGER NOT NULL
  ) STRICT;
  CREATE TABLE IF NOT EXISTS key_changes (count INTEGER NOT NULL) STRICT;
  INSERT INTO key_changes (count) SELECT 0 WHERE NOT EXISTS (SELECT 1 FROM key_changes);
  CREATE TRIGGER IF NOT EXISTS key_inserted AFTER INSERT ON keys BEGIN UPDATE key_changes SET count = count + 1; END;
  CREATE TRIGGER IF NOT EXISTS key_updated AFTER UPDATE ON keys BEGIN UPDATE key_changes SET count = count + 1; END;
  CREATE TRIGGER IF NOT EXISTS key_deleted AFTER DELETE ON keys BEGIN UPDATE key_changes SET count = count + 1; END;
`;

/** Saves a use of a key (values: time, id), unless the key is unknown or was used later. */
export const saveUseSql =
  "INSERT INTO key_uses (id, used_at) SELECT id, ? FROM keys WHERE id = ? " +
  "ON CONFLICT (id) DO UPDATE SET used_at = max(used_at, excluded.used_at)";

const selectUsesSql = "SELECT id, used_at FROM key_uses";

/** How often to look for changes by other processes, in milliseconds. */
const generationCheckMs = 20;

/**
 * Creates a key store over a database, and migrates its tables.
 *
 * @param onDamaged receives the id of each damaged record, each time it is read.
 */
export function createSqliteKeyStore(
  database: SqliteDatabase,
  clock: Clock,
  onDamaged: (id: string) => void = () => undefined,
): KeyStore {
  migrateSqlite(database, [keyTables]);
  database.exec(keyIndexes);
  const selectOne = database.prepare("SELECT id, record FROM keys WHERE id = ?");
  const parts = prepareKeyParts(database);
  const insert = database.prepare("INSERT INTO keys (id, created_at, record) VALUES (?, ?, ?)");
  const replace = database.prepare("UPDATE keys SET record = ? WHERE id = ?");
  const saveUse = database.prepare(saveUseSql);
  const selectUses = database.prepare(selectUsesSql);
  const selectUsesOf = database.prepare(`${selectUsesSql} WHERE id IN (SELECT value FROM json_each(?))`);
  const generation = watchGeneration(database, clock);

  function readRow(row: SqliteRow): KeyRecord | null {
    return readKeyRecord(String(row["id"]), String(row["record"]), onDamaged);
  }

  return {
    async find(id) {
      const row = selectOne.get(id);
      return row === undefined ? null : readRow(row);
    },
    list: (query) => searchKeys(letOthersRun(parts.read, clock), query, onDamaged),
    summarize: async (nowMs) => parts.summarize(nowMs),
    async create(record) {
      insert.run(record.id, record.createdAt, JSON.stringify(record));
      generation.increase();
    },
    async update(id, change) {
      const changed = database.transaction(() => {
        const row = selectOne.get(id);
        if (row === undefined) return null;
        const next = changeKeyRecord(id, String(row["record"]), change);
        replace.run(JSON.stringify(next), id);
        return next;
      });
      if (changed !== null) generation.increase();
      return changed;
    },
    async recordUse(uses) {
      database.transaction(() => {
        for (const { id, usedAt } of uses) saveUse.run(usedAt, id);
      });
    },
    async lastUses(ids) {
      const rows = ids === undefined ? selectUses.all() : selectUsesOf.all(JSON.stringify(ids));
      return new Map(rows.map((row) => [String(row["id"]), Number(row["used_at"])]));
    },
    generation: () => generation.current(),
  };
}

/** Lets other work run after each part of a long list. */
function letOthersRun(readPart: ReadKeyPart, clock: Clock): ReadKeyPart {
  let [keys, length] = [0, 0];
  return async (...place) => {
    if (keys >= keysPerPart || length >= maxPartLength) {
      [keys, length] = [0, 0];
      await sleep(clock, 0);
    }
    const part = await readPart(...place);
    keys += part.length;
    for (const [, text] of part) length += text.length;
    return part;
  };
}

/** The generation of the keys in a file, which changes with every change of a key by any process. */
function watchGeneration(database: SqliteDatabase, clock: Clock) {
  const selectVersion = database.prepare("PRAGMA data_version");
  const selectChanges = database.prepare("SELECT count FROM key_changes");
  const readVersion = (): unknown => selectVersion.get()?.["data_version"];
  const readChanges = (): unknown => selectChanges.get()?.["count"];
  let generation = 0;
  let version = readVersion();
  let changes = readChanges();
  let checkedAt = clock.monotonic();

  return {
    current(): number {
      const now = clock.monotonic();
      if (now - checkedAt < generationCheckMs) return generation;
      const currentVersion = readVersion();
      if (currentVersion !== version) {
        const currentChanges = readChanges();
        if (currentChanges !== changes) generation += 1;
        changes = currentChanges;
      }
      // Set last, so that after a failed read the next call reads again.
      version = currentVersion;
      checkedAt = now;
      return generation;
    },
    /** Notes a change by this process. */
    increase(): void {
      generation += 1;
    },
  };
}

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
    list: (query) => keyStore.list(query).catch(fail),
    summarize: (nowMs) => keyStore.summarize(nowMs).catch(fail),
    lastUses: (ids) => keyStore.lastUses(ids).catch(fail),
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

/** The peppers of all key digests, in tables of any version. Damaged records have none. */
export function readPeppersOfKeys(database: SqliteDatabase): ReadonlySet<string> {
  const rows = database.prepare("SELECT id, record FROM keys").all();
  const records = rows.map((row) => readKeyRecord(String(row["id"]), String(row["record"])));
  return new Set(records.flatMap((record) => record?.secrets.map(({ pepperId }) => pepperId) ?? []));
}
