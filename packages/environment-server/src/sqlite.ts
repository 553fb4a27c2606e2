/** The module `@letta-environments/environment-server/sqlite`: the store in a SQLite database, composed of its parts in `sqlite/`. */
import { createGroupCommit, type GroupCommitOptions, type SqliteDatabase } from "@letta-environments/platform";
import type { ApprovalLogLimits } from "./approval-log.ts";
import type { ChangeLimits } from "./change-log.ts";
import type { MessageLogLimits } from "./message-log.ts";
import { approvalLogLimits, changeLimits, messageLogLimits, retentionMs } from "./limits.ts";
import type { EnvironmentStore } from "./ports.ts";
import { createSqliteApprovalLog } from "./sqlite/approval-log.ts";
import { createSqliteChangeLog } from "./sqlite/change-log.ts";
import { createSqliteDeviceRows } from "./sqlite/devices.ts";
import { createSqliteDeliveryLog } from "./sqlite/delivery-log.ts";
import { createSqliteMessageLog } from "./sqlite/message-log.ts";
import { createSqliteEnvironmentRows } from "./sqlite/rows.ts";
import { createRowCache } from "./sqlite/row-cache.ts";
import { createSqliteTime } from "./sqlite/saved-time.ts";
import { migrate } from "./sqlite/migrations.ts";
import { readInteger } from "./sqlite/columns.ts";

export type { GroupCommitOptions, SqliteDatabase } from "@letta-environments/platform";

/** How much of each kind is kept. Default: the limits in README.md. */
export interface EnvironmentStoreLimits {
  readonly messages?: MessageLogLimits;
  readonly approvals?: ApprovalLogLimits;
  readonly changes?: ChangeLimits;
}

/**
 * Creates an {@link EnvironmentStore} in a SQLite database and migrates its tables first. The caller closes the database. When a
 * promise resolves, the change is as durable as the settings of the database make it; with platform's `openSqlite` it survives a
 * power cut.
 *
 * @param options when changes are committed. By default at the end of the microtask; with `setImmediate` as `defer`, and a timer as
 *   `deferRelaxed`, many more changes share a commit, and with it the wait for the disk.
 * @throws Error when a newer program has written the database.
 */
export function createSqliteEnvironmentStore(
  database: SqliteDatabase,
  {
    defer = queueMicrotask,
    limits = {},
    ...options
  }: Partial<GroupCommitOptions> & { readonly limits?: EnvironmentStoreLimits } = {},
): EnvironmentStore {
  database.exec("PRAGMA foreign_keys = ON");
  migrate(database);
  const { write: commit } = createGroupCommit(database, { defer, ...options });
  const cache = createRowCache(database);
  const forgetConnections = database.prepare(`DELETE FROM environment_connection WHERE id IN (
    SELECT id FROM environment_connection WHERE replaced_at <= ? LIMIT ?)`);
  const forgetDeliveries = database.prepare(`DELETE FROM environment_delivery WHERE id IN (
    SELECT id FROM environment_delivery WHERE reserved_at <= ? LIMIT ?)`);
  const time = createSqliteTime(database, commit);
  return {
    get savedTime() {
      return time.read();
    },
    saveTime: time.save,
    ...createSqliteEnvironmentRows(database, commit, cache),
    ...createSqliteDeviceRows(database, commit, cache),
    ...createSqliteDeliveryLog(database, commit),
    ...createSqliteMessageLog(database, commit, limits.messages ?? messageLogLimits),
    ...createSqliteApprovalLog(database, commit, limits.approvals ?? approvalLogLimits),
    ...createSqliteChangeLog(database, commit, limits.changes ?? changeLimits),
    prune: (nowMs, limit) =>
      commit(
        () => {
          const connections = forgetConnections.run(nowMs - retentionMs, limit).changes;
          const deliveries = forgetDeliveries.run(nowMs - retentionMs, limit).changes;
          if (connections > 0) cache.clear();
          return connections >= limit || deliveries >= limit;
        },
        { rows: limit },
      ),
  };
}

/** Numbers of stored rows, for metrics. Each is counted from an index. */
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
