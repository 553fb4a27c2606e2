import type { SqliteDatabase } from "@letta-environments/platform";
import { retentionMs } from "../limits.ts";
import type { EnvironmentStore } from "../ports.ts";
import { createSqliteDeliveryLog } from "./delivery-log.ts";
import { createSqliteEnvironmentRows } from "./environment-rows.ts";
import { migrate } from "./migrate.ts";

/**
 * Keeps everything in a SQLite database, which it brings to the newest version first. The database stays the caller's to
 * close. A promise resolves when the change is as durable as the database was opened to make it; platform's `openSqlite`
 * makes it survive a power cut.
 *
 * @throws Error when a newer program has written the database.
 */
export function createSqliteEnvironmentStore(database: SqliteDatabase): EnvironmentStore {
  database.exec("PRAGMA foreign_keys = ON");
  migrate(database);
  const forgetConnections = database.prepare("DELETE FROM environment_connection WHERE replaced_at <= ?");
  const forgetDeliveries = database.prepare("DELETE FROM environment_delivery WHERE reserved_at <= ?");
  return {
    ...createSqliteEnvironmentRows(database),
    ...createSqliteDeliveryLog(database),
    async prune(nowMs) {
      database.transaction(() => {
        forgetConnections.run(nowMs - retentionMs);
        forgetDeliveries.run(nowMs - retentionMs);
      });
    },
  };
}
