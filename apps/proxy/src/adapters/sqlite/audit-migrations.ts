/**
 * The tables of the file with the audit records, and their versions. The file also remembers sends, so that a send and its audit
 * record can be committed together.
 */
import { migrateSqlite, type SqliteDatabase } from "@letta-environments/platform";
import { sendTables } from "./idempotency-tables.ts";

/**
 * The tables of audit records. Durable Objects execute them at each start, without a version. So a new column is not added here, but needs a step in
 * {@link migrateAuditFile}, and its own check in the objects, as `audit_dropped` has one in `adapters/cloudflare/audit-retention.ts`.
 */
export const auditTables = `
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

/** The table that records what retention has dropped, and a trigger that prevents any other deletion. */
export const droppedTable = `
  CREATE TABLE audit_dropped (
    writer TEXT PRIMARY KEY,
    ordinal INTEGER NOT NULL,
    sequence INTEGER NOT NULL,
    hash TEXT NOT NULL,
    closed INTEGER NOT NULL,
    pepper_id TEXT NOT NULL,
    seal TEXT NOT NULL
  ) STRICT;
  DROP TRIGGER IF EXISTS audit_record_deleted;
  CREATE TRIGGER audit_record_deleted BEFORE DELETE ON audit_records
    WHEN NOT EXISTS (SELECT 1 FROM audit_dropped WHERE writer = OLD.writer AND sequence >= OLD.sequence)
    BEGIN SELECT RAISE(ABORT, 'audit records are deleted by retention alone'); END;
`;

/** Brings the tables of the file to the newest version. A released step never changes. */
export function migrateAuditFile(database: SqliteDatabase): void {
  migrateSqlite(database, [auditTables, sendTables, droppedTable]);
}
