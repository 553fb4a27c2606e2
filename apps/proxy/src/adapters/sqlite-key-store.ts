import { type Clock, migrateSqlite, type SqliteDatabase, type SqliteRow } from "@letta-environments/platform";
import type { KeyRecord } from "../keys/key-record.ts";
import { changeKeyRecord, readKeyRecord } from "../keys/read-key-record.ts";
import type { KeyStore } from "../ports.ts";
import { keyTables } from "./sqlite-key-tables.ts";

/** How often another process's changes are looked for, in milliseconds. */
const generationCheckMs = 20;

/**
 * Keys in SQLite. Several processes may share the file: a command changes a key, and a running proxy sees it by SQLite's
 * `data_version`, which another connection's commit changes, and by a count of changes, which uses leave alone.
 *
 * @param onDamaged is told the id of each damaged record, whenever it is met.
 */
export function createSqliteKeyStore(
  database: SqliteDatabase,
  clock: Clock,
  onDamaged: (id: string) => void = () => undefined,
): KeyStore {
  migrateSqlite(database, [keyTables]);
  const selectOne = database.prepare("SELECT id, record FROM keys WHERE id = ?");
  const selectAll = database.prepare("SELECT id, record FROM keys ORDER BY created_at, id");
  const insert = database.prepare("INSERT INTO keys (id, created_at, record) VALUES (?, ?, ?)");
  const replace = database.prepare("UPDATE keys SET record = ? WHERE id = ?");
  const saveUse = database.prepare(
    "INSERT INTO key_uses (id, used_at) SELECT id, ? FROM keys WHERE id = ? " +
      "ON CONFLICT (id) DO UPDATE SET used_at = max(used_at, excluded.used_at)",
  );
  const selectUses = database.prepare("SELECT id, used_at FROM key_uses");
  const selectVersion = database.prepare("PRAGMA data_version");
  const selectChanges = database.prepare("SELECT count FROM key_changes");

  let generation = 0;
  let version = readVersion();
  let changes = readChanges();
  let checkedAt = clock.now();

  function readVersion(): unknown {
    return selectVersion.get()?.["data_version"];
  }

  function readChanges(): unknown {
    return selectChanges.get()?.["count"];
  }

  function readRow(row: SqliteRow): KeyRecord | null {
    const id = String(row["id"]);
    const record = readKeyRecord(id, String(row["record"]));
    if (record === null) onDamaged(id);
    return record;
  }

  return {
    async find(id) {
      const row = selectOne.get(id);
      return row === undefined ? null : readRow(row);
    },
    async list() {
      return selectAll.all().flatMap((row) => readRow(row) ?? []);
    },
    async create(record) {
      insert.run(record.id, record.createdAt, JSON.stringify(record));
      generation += 1;
    },
    async update(id, change) {
      const changed = database.transaction(() => {
        const row = selectOne.get(id);
        if (row === undefined) return null;
        const next = changeKeyRecord(id, String(row["record"]), change);
        replace.run(JSON.stringify(next), id);
        return next;
      });
      generation += 1;
      return changed;
    },
    async recordUse(uses) {
      database.transaction(() => {
        for (const { id, usedAt } of uses) saveUse.run(usedAt, id);
      });
    },
    async lastUses() {
      return new Map(selectUses.all().map((row) => [String(row["id"]), Number(row["used_at"])]));
    },
    generation() {
      const now = clock.now();
      // A clock that was set back must not stop the checks.
      if (now >= checkedAt && now - checkedAt < generationCheckMs) return generation;
      checkedAt = now;
      const current = readVersion();
      if (current !== version) {
        version = current;
        const counted = readChanges();
        if (counted !== changes) generation += 1;
        changes = counted;
      }
      return generation;
    },
  };
}
