/** Reads rows of `audit.sqlite`. */
import type { SqliteRow } from "@letta-environments/platform";
import type { AuditHead, AuditRecord, DroppedRecords } from "../../audit/store.ts";

/** Reads the sealed end of a chain from a row of `audit_heads` or `audit_dropped`. */
export function readHead(row: SqliteRow): AuditHead {
  return {
    writer: String(row["writer"]),
    ordinal: Number(row["ordinal"]),
    sequence: Number(row["sequence"]),
    hash: String(row["hash"]),
    pepperId: String(row["pepper_id"]),
    seal: String(row["seal"]),
  };
}

/** Reads a row of `audit_records`. */
export function readRecord(row: SqliteRow): AuditRecord {
  return {
    writer: String(row["writer"]),
    sequence: Number(row["sequence"]),
    text: String(row["text"]),
    hash: String(row["hash"]),
  };
}

/** Reads a row of `audit_dropped`. */
export function readDropped(row: SqliteRow): DroppedRecords {
  return { ...readHead(row), closed: Number(row["closed"]) === 1 };
}
