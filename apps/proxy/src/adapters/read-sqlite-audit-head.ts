import type { SqliteRow } from "@letta-environments/platform";
import type { AuditHead } from "../audit/store.ts";

/** Reads a row of `audit_heads`, for those who write chains and those who read them. */
export function readSqliteAuditHead(row: SqliteRow): AuditHead {
  return {
    writer: String(row["writer"]),
    ordinal: Number(row["ordinal"]),
    sequence: Number(row["sequence"]),
    hash: String(row["hash"]),
    pepperId: String(row["pepper_id"]),
    seal: String(row["seal"]),
  };
}
