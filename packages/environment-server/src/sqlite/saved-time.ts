import type { CommitChange, SqliteDatabase } from "@letta-environments/platform";
import type { SavedTime } from "../ports.ts";
import { readInteger, readText } from "./columns.ts";

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
export function createSqliteTime(
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
