import {
  type Clock,
  createGroupCommit,
  type GroupCommitOptions,
  type SqliteDatabase,
} from "@letta-environments/platform";
import { migrateAuditFile } from "../../src/adapters/sqlite/audit-migrations.ts";
import {
  createSqliteIdempotencyStore,
  type SqliteIdempotencyStoreOptions,
} from "../../src/adapters/sqlite/idempotency-store.ts";
import type { IdempotencyStore } from "../../src/idempotency/store.ts";

/** Opens the store of sends alone, as a process without an audit log would. */
export function openSendStore(
  database: SqliteDatabase,
  clock: Pick<Clock, "now" | "monotonic">,
  options: SqliteIdempotencyStoreOptions & Partial<GroupCommitOptions> = {},
): IdempotencyStore {
  migrateAuditFile(database);
  return createSqliteIdempotencyStore(
    database,
    createGroupCommit(database, { defer: setImmediate, ...options }),
    clock,
    options,
  );
}
