/** {@link AuditRetentionStore} in the file of the audit log. */
import type { SqliteDatabase } from "@letta-environments/platform";
import type { AuditRetentionStore } from "../../audit/retention.ts";
import { readDropped, readHead, readRecord } from "./audit-store.ts";

/**
 * Creates the store over a migrated database.
 *
 * @param maxHeads maximum number of heads to list; -1: all
 */
export function createSqliteAuditRetention(database: SqliteDatabase, maxHeads = -1): AuditRetentionStore {
  // Heads of dropped chains stay forever and soon outnumber the others, so this goes from writer to writer through the records that are left.
  const selectHeads = database.prepare(
    "WITH RECURSIVE remaining (writer) AS (SELECT min(writer) FROM audit_records UNION ALL " +
      "SELECT (SELECT min(writer) FROM audit_records WHERE audit_records.writer > remaining.writer) " +
      "FROM remaining WHERE writer IS NOT NULL) " +
      "SELECT audit_heads.* FROM remaining CROSS JOIN audit_heads USING (writer) ORDER BY ordinal, writer LIMIT ?",
  );
  const selectHead = database.prepare("SELECT * FROM audit_heads WHERE writer = ?");
  const selectDropped = database.prepare("SELECT * FROM audit_dropped WHERE writer = ?");
  const selectRecords = database.prepare(
    "SELECT * FROM audit_records WHERE writer = ? AND sequence > ? ORDER BY sequence LIMIT ?",
  );
  const saveDropped = database.prepare(
    "INSERT OR REPLACE INTO audit_dropped (writer, ordinal, sequence, hash, closed, pepper_id, seal) VALUES (?, ?, ?, ?, ?, ?, ?)",
  );
  const deleteRecords = database.prepare("DELETE FROM audit_records WHERE writer = ? AND sequence <= ?");
  return {
    heads: () => selectHeads.all(maxHeads).map(readHead),
    head(writer) {
      const row = selectHead.get(writer);
      return row === undefined ? null : readHead(row);
    },
    dropped(writer) {
      const row = selectDropped.get(writer);
      return row === undefined ? null : readDropped(row);
    },
    recordsAfter: (writer, sequence, limit) => selectRecords.all(writer, sequence, limit).map(readRecord),
    drop({ writer, ordinal, sequence, hash, closed, pepperId, seal }) {
      // The trigger permits deleting records only up to the stored end.
      saveDropped.run(writer, ordinal, sequence, hash, closed ? 1 : 0, pepperId, seal);
      deleteRecords.run(writer, sequence);
    },
  };
}
