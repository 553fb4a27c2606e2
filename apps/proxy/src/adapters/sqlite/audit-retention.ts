/** {@link AuditRetentionStore} in the file of the audit log. */
import type { SqliteDatabase } from "@letta-environments/platform";
import type { AuditRetentionStore } from "../../audit/retention.ts";
import { readDropped, readHead, readRecord } from "./audit-rows.ts";

/**
 * Creates the store over a database that was migrated.
 *
 * @param maxHeads how many heads are listed at most; -1: all
 */
export function createSqliteAuditRetention(database: SqliteDatabase, maxHeads = -1): AuditRetentionStore {
  const selectHeads = database.prepare(
    "SELECT audit_heads.* FROM audit_heads LEFT JOIN audit_dropped USING (writer) " +
      "WHERE audit_dropped.sequence IS NOT audit_heads.sequence ORDER BY audit_heads.ordinal, writer LIMIT ?",
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
      // The trigger lets records be deleted up to the stored end.
      saveDropped.run(writer, ordinal, sequence, hash, closed ? 1 : 0, pepperId, seal);
      deleteRecords.run(writer, sequence);
    },
  };
}
