import type { Clock, SqliteDatabase, SqliteRow } from "@letta-environments/platform";
import { type KeyRecord, readKeyRecord } from "../keys/key-record.ts";
import type { KeyStore } from "../ports.ts";

/** How often another process's changes are looked for, in milliseconds. */
const generationCheckMs = 50;

const schema = `
  CREATE TABLE IF NOT EXISTS keys (
    id TEXT PRIMARY KEY,
    created_at INTEGER NOT NULL,
    record TEXT NOT NULL
  ) STRICT;
`;

/**
 * Keys in SQLite. Several processes may share the file: a command changes a key, and a running proxy sees it by SQLite's
 * `data_version`, which another connection's commit changes.
 */
export function createSqliteKeyStore(database: SqliteDatabase, clock: Clock): KeyStore {
  database.exec(schema);
  const selectOne = database.prepare("SELECT record FROM keys WHERE id = ?");
  const selectAll = database.prepare("SELECT record FROM keys ORDER BY created_at, id");
  const insert = database.prepare("INSERT INTO keys (id, created_at, record) VALUES (?, ?, ?)");
  const replace = database.prepare("UPDATE keys SET record = ? WHERE id = ?");
  const selectVersion = database.prepare("PRAGMA data_version");

  let generation = 0;
  let version = readVersion();
  let checkedAt = clock.now();

  function readVersion(): unknown {
    return selectVersion.get()?.["data_version"];
  }

  function readOne(id: string): KeyRecord | null {
    const row = selectOne.get(id);
    return row === undefined ? null : readRecord(row);
  }

  return {
    async find(id) {
      return readOne(id);
    },
    async list() {
      return selectAll.all().map(readRecord);
    },
    async create(record) {
      insert.run(record.id, record.createdAt, JSON.stringify(record));
      generation += 1;
    },
    async update(id, change) {
      const changed = database.transaction(() => {
        const record = readOne(id);
        if (record === null) return null;
        const next = change(record);
        replace.run(JSON.stringify(next), id);
        return next;
      });
      generation += 1;
      return changed;
    },
    generation() {
      const now = clock.now();
      // A clock that was set back must not stop the checks.
      if (now >= checkedAt && now - checkedAt < generationCheckMs) return generation;
      checkedAt = now;
      const current = readVersion();
      if (current !== version) {
        version = current;
        generation += 1;
      }
      return generation;
    },
  };
}

function readRecord(row: SqliteRow): KeyRecord {
  return readKeyRecord(String(row["record"]));
}
