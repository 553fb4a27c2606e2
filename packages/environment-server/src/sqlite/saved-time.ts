import type { CommitChange, SqliteDatabase } from "@letta-environments/platform";
import type { SavedTime } from "../ports.ts";
import { readInteger, readText } from "./columns.ts";

/**
 * The server time in SQLite. After a crash it is the time of the latest send, if that is later than what was saved: no id may lie in the
 * future, where it would be kept too long.
 */
export function createSqliteTime(
  database: SqliteDatabase,
  commit: CommitChange,
): { read(): SavedTime | null; save(time: SavedTime): Promise<void> } {
  const read =
    database.prepare(`SELECT changes, max(now, coalesce((SELECT max(reserved_at) FROM environment_delivery), 0)) AS now
    FROM environment_time WHERE only = 1`);
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
