import { migrateSqlite, type SqliteDatabase, type SqliteRow } from "@letta-environments/platform";
import type { AuditRecord, AuditStore } from "../audit/audit-store.ts";
import { readSqliteAuditHead } from "./read-sqlite-audit-head.ts";
import { auditTables, createSqliteAuditChains } from "./sqlite-audit-chains.ts";

/** Records that are in memory at once while all are read. */
const pageSize = 500;

/** Audit records in SQLite, to be written by one process and read by another. */
export function createSqliteAuditStore(database: SqliteDatabase): AuditStore {
  migrateSqlite(database, [auditTables]);
  const chains = createSqliteAuditChains(database);
  const selectHeads = database.prepare("SELECT * FROM audit_heads ORDER BY ordinal, writer");
  const selectHash = database.prepare("SELECT hash FROM audit_records WHERE writer = ? AND sequence = ?");
  const selectFirstPage = database.prepare(`SELECT * FROM audit_records ORDER BY writer, sequence LIMIT ${pageSize}`);
  const selectPage = database.prepare(
    `SELECT * FROM audit_records WHERE (writer, sequence) > (?, ?) ORDER BY writer, sequence LIMIT ${pageSize}`,
  );

  function readHash(writer: string, sequence: number): string | null {
    const row = selectHash.get(writer, sequence);
    return row === undefined ? null : String(row["hash"]);
  }

  function* readRecords(): Generator<AuditRecord> {
    let page = selectFirstPage.all().map(readRecord);
    for (let last = page.at(-1); last !== undefined; last = page.at(-1)) {
      yield* page;
      page = selectPage.all(last.writer, last.sequence).map(readRecord);
    }
  }

  return {
    ...chains,
    async snapshot(read) {
      // A reader's transaction: writers go on, and are not seen.
      database.exec("BEGIN");
      try {
        const heads = selectHeads.all().map(readSqliteAuditHead);
        return read({ directory: chains.directory(), heads, records: readRecords(), hashAt: readHash });
      } finally {
        database.exec("COMMIT");
      }
    },
  };
}

function readRecord(row: SqliteRow): AuditRecord {
  return {
    writer: String(row["writer"]),
    sequence: Number(row["sequence"]),
    text: String(row["text"]),
    hash: String(row["hash"]),
  };
}
