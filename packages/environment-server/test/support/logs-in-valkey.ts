import type { SqliteDatabase, ValkeyConnection } from "@letta-environments/platform";
import { type EnvironmentStore, withSeparateLogs } from "../../src/index.ts";
import { createSqliteEnvironmentStore } from "../../src/sqlite.ts";
import { createValkeyApprovalLog, createValkeyChangeLog, createValkeyMessageLog } from "../../src/valkey/index.ts";

/** A store with rows in SQLite, and statuses, requests for permission and events in Valkey. */
export function openLogsInValkey(
  database: SqliteDatabase,
  connection: ValkeyConnection,
  newEpoch: () => string,
): EnvironmentStore {
  return withSeparateLogs(createSqliteEnvironmentStore(database), {
    messages: createValkeyMessageLog(connection, { prefix: "logs" }),
    approvals: createValkeyApprovalLog(connection, { prefix: "logs" }),
    changes: createValkeyChangeLog(connection, { prefix: "logs", newEpoch }),
  });
}
