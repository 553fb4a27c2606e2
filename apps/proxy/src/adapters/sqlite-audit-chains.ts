import type { SqliteDatabase } from "@letta-environments/platform";
import type { AuditChains, AuditDirectory, AuditHead, AuditRecord } from "../audit/audit-store.ts";
import { readSqliteAuditHead } from "./read-sqlite-audit-head.ts";

/** The tables of audit records in SQLite. */
export const auditTables: string = `
  CREATE TABLE IF NOT EXISTS audit_records (
    writer TEXT NOT NULL,
    sequence INTEGER NOT NULL,
    text TEXT NOT NULL,
    hash TEXT NOT NULL,
    PRIMARY KEY (writer, sequence)
  ) STRICT, WITHOUT ROWID;
  CREATE TABLE IF NOT EXISTS audit_heads (
    writer TEXT PRIMARY KEY,
    ordinal INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    hash TEXT NOT NULL,
    pepper_id TEXT NOT NULL,
    seal TEXT NOT NULL,
    noted INTEGER NOT NULL DEFAULT 0
  ) STRICT;
  CREATE TABLE IF NOT EXISTS audit_directory (
    only INTEGER PRIMARY KEY CHECK (only = 1),
    count INTEGER NOT NULL,
    pepper_id TEXT NOT NULL,
    seal TEXT NOT NULL
  ) STRICT;
  CREATE TRIGGER IF NOT EXISTS audit_record_changed BEFORE UPDATE ON audit_records
    BEGIN SELECT RAISE(ABORT, 'audit records are never changed'); END;
  CREATE TRIGGER IF NOT EXISTS audit_record_deleted BEFORE DELETE ON audit_records
    BEGIN SELECT RAISE(ABORT, 'audit records are never deleted'); END;
`;

/** What a file of SQLite tells of its chains. */
export interface SqliteAuditChains extends AuditChains {
  directory(): AuditDirectory | null;
}

/**
 * The writing side of audit records in SQLite. Several processes may share the file, each with a chain of its own. The triggers keep mistakes
 * away; against somebody who can write to the file only the chains and their seals help.
 *
 * @param database one that has the {@link auditTables}
 */
export function createSqliteAuditChains(database: SqliteDatabase): SqliteAuditChains {
  const insertRecord = database.prepare("INSERT INTO audit_records (writer, sequence, text, hash) VALUES (?, ?, ?, ?)");
  const saveHead = database.prepare(
    "INSERT INTO audit_heads (writer, ordinal, sequence, hash, pepper_id, seal) VALUES (?, ?, ?, ?, ?, ?) " +
      "ON CONFLICT (writer) DO UPDATE SET ordinal = excluded.ordinal, sequence = excluded.sequence, hash = excluded.hash, " +
      "pepper_id = excluded.pepper_id, seal = excluded.seal",
  );
  const saveDirectory = database.prepare(
    "INSERT OR REPLACE INTO audit_directory (only, count, pepper_id, seal) VALUES (1, ?, ?, ?)",
  );
  const selectDirectory = database.prepare("SELECT count, pepper_id, seal FROM audit_directory");
  const selectHead = database.prepare("SELECT * FROM audit_heads WHERE writer = ?");
  const countHeads = database.prepare("SELECT count(*) AS count FROM audit_heads");
  // Whoever moves `noted` makes the next chain note less; the seals and the chains stay what they are.
  const selectUnnoted = database.prepare(
    "SELECT * FROM audit_heads WHERE sequence > noted ORDER BY ordinal LIMIT 1000",
  );
  const markNoted = database.prepare("UPDATE audit_heads SET noted = sequence WHERE writer = ?");

  function insert({ writer, sequence, text, hash }: AuditRecord): void {
    insertRecord.run(writer, sequence, text, hash);
  }

  function replaceHead({ writer, ordinal, sequence, hash, pepperId, seal }: AuditHead): void {
    saveHead.run(writer, ordinal, sequence, hash, pepperId, seal);
  }

  function directory(): AuditDirectory | null {
    const row = selectDirectory.get();
    if (row === undefined) return null;
    return { count: Number(row["count"]), pepperId: String(row["pepper_id"]), seal: String(row["seal"]) };
  }

  return {
    async open(begin) {
      database.transaction(() => {
        const unnoted = selectUnnoted.all().map(readSqliteAuditHead);
        const count = Number(countHeads.get()?.["count"]);
        const { record, head, directory: next } = begin({ directory: directory(), count, unnoted });
        for (const { writer } of unnoted) markNoted.run(writer);
        insert(record);
        replaceHead(head);
        saveDirectory.run(next.count, next.pepperId, next.seal);
      });
    },
    async append(records, head) {
      database.transaction(() => {
        for (const record of records) insert(record);
        replaceHead(head);
      });
    },
    async head(writer) {
      const row = selectHead.get(writer);
      return row === undefined ? null : readSqliteAuditHead(row);
    },
    directory,
  };
}
