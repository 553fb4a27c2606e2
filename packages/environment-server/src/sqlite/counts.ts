/** Numbers of stored rows, for metrics. Each is counted from an index. */
import type { SqliteDatabase } from "@letta-environments/platform";
import { readInteger } from "./columns.ts";

/** See {@link createRowCounts}. */
export interface RowCounts {
  /** Rows of devices, connected or not. */
  readonly environments: number;
  /** Requests for permission that wait for a decision. */
  readonly pendingApprovals: number;
}

/** Returns a function that counts the rows of an environment store in its database. It throws when the file cannot be read. */
export function createRowCounts(database: SqliteDatabase): () => RowCounts {
  const count = database.prepare(`SELECT (SELECT COUNT(*) FROM environment) AS environments,
    (SELECT COUNT(*) FROM environment_approval WHERE decided_at IS NULL) AS approvals`);
  return () => {
    const row = count.get();
    return { environments: readInteger(row, "environments"), pendingApprovals: readInteger(row, "approvals") };
  };
}
