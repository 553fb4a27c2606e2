/** The module `@letta-environments/environment-server/sqlite`: the store in a SQLite database, composed of its parts in `sqlite/`. */
import {
  type CommitChange,
  createGroupCommit,
  type GroupCommitOptions,
  type SqliteDatabase,
} from "@letta-environments/platform";
import type { ApprovalLogLimits } from "./approval-log.ts";
import type { ChangeLimits } from "./change-log.ts";
import type { MessageLogLimits } from "./message-log.ts";
import { approvalLogLimits, changeLimits, messageLogLimits, retentionMs } from "./limits.ts";
import type { EnvironmentStore, SavedTime } from "./ports.ts";
import { createSqliteApprovalLog } from "./sqlite/approval-log.ts";
import { createSqliteChangeLog } from "./sqlite/change-log.ts";
import { createSqliteDeviceRows } from "./sqlite/devices.ts";
import { createSqliteDeliveryLog } from "./sqlite/delivery-log.ts";
import { createSqliteMessageLog } from "./sqlite/message-log.ts";
import { createSqliteEnvironmentRows } from "./sqlite/rows.ts";
import { createRemovedRows } from "./sqlite/removed-rows.ts";
import { createRowCache } from "./sqlite/row-cache.ts";
import { migrate } from "./sqlite/migrations.ts";
import { readInteger, readText, removedTenant } from "./sqlite/columns.ts";

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
 *   `deferRelaxed`, many more changes share a commit, and with it the wait for the disk; and other work runs while the messages of a removed
 *   device are removed.
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
  const removed = createRemovedRows(database, commit);
  const forgetConnections = database.prepare(`DELETE FROM environment_connection WHERE id IN (
    SELECT id FROM environment_connection WHERE replaced_at <= ? LIMIT ?)`);
  const forgetDeliveries = database.prepare(`DELETE FROM environment_delivery WHERE id IN (
    SELECT id FROM environment_delivery WHERE reserved_at <= ? LIMIT ?)`);
  const time = createTime(database, commit);
  return {
    get savedTime() {
      return time.read();
    },
    saveTime: time.save,
    ...createSqliteEnvironmentRows(database, commit, cache, removed),
    ...createSqliteDeviceRows(database, commit, cache, removed),
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
          const mayHaveHidden = removed.removeSome(limit);
          return connections >= limit || deliveries >= limit || mayHaveHidden;
        },
        { rows: limit },
      ),
  };
}

/** The times of the latest send, of the latest change, and of the latest start of a recording of output. */
const latestTimes = [
  "SELECT max(reserved_at) FROM environment_delivery",
  "SELECT stored_at FROM environment_change WHERE position = (SELECT last_position FROM environment_change_log)",
  "SELECT max(output_since) FROM environment_change_recording",
];

/**
 * The server time in SQLite. After a crash it is the latest of {@link latestTimes}, if that is later than the saved time. An id from the
 * future would be kept too long, and anything before the start of its recording would be a gap for readers of output.
 */
function createTime(
  database: SqliteDatabase,
  commit: CommitChange,
): { read(): SavedTime | null; save(time: SavedTime): Promise<void> } {
  const latest = latestTimes.map((select) => `coalesce((${select}), 0)`).join(", ");
  const read = database.prepare(`SELECT changes, max(now, ${latest}) AS now FROM environment_time WHERE only = 1`);
  const save = database.prepare(`INSERT INTO environment_time (only, now, changes) VALUES (1, ?, ?)
    ON CONFLICT DO UPDATE SET now = max(now, excluded.now), changes = excluded.changes`);
  return {
    read() {
      const row = read.get();
      // Only this file writes the changes.
      return row === undefined
        ? null
        : { now: readInteger(row, "now"), changes: JSON.parse(readText(row, "changes")) as SavedTime["changes"] };
    },
    save: ({ now, changes }) => commit(() => void save.run(now, JSON.stringify(changes))),
  };
}

/**
 * Returns a function that counts the rows of devices in a database, connected or not, for metrics. They are counted from an index. It throws
 * when the file cannot be read.
 */
export function createRowCount(database: SqliteDatabase): () => number {
  const count = database.prepare(`SELECT COUNT(*) AS environments FROM environment WHERE tenant <> ${removedTenant}`);
  return () => readInteger(count.get(), "environments");
}
