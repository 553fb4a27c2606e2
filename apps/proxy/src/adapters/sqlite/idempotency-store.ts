/**
 * Remembers sends in SQLite, in the file of the audit records. Several processes on one machine may share the file. Concurrent sends
 * share commits.
 */
import type { Clock, SqliteDatabase } from "@letta-environments/platform";
import { IdempotencyUnavailableError, type IdempotencyStore } from "../../idempotency/store.ts";
import { migrateAuditFile } from "./audit-migrations.ts";
import { createGroupCommit, type GroupCommitOptions } from "./group-commit.ts";
import { defaultCapacity, openSendTables } from "./idempotency-tables.ts";

/** Options of {@link createSqliteIdempotencyStore}. */
export interface SqliteIdempotencyStoreOptions extends GroupCommitOptions {
  /** Ids that are remembered at most; as many connections are. Default: 1,000,000. */
  readonly capacity?: number;
}

/** Creates a store over a database, and migrates its tables. */
export function createSqliteIdempotencyStore(
  database: SqliteDatabase,
  clock: Pick<Clock, "now" | "monotonic">,
  { capacity = defaultCapacity, ...options }: SqliteIdempotencyStoreOptions = {},
): IdempotencyStore {
  migrateAuditFile(database);
  const tables = openSendTables(database, { clock, capacity });
  const { guard = async (run) => run() } = options;
  const commit = createGroupCommit(database, options);

  const write = <Result>(run: () => Result, rows?: number): Promise<Result> => translateFailure(commit(run, rows));
  const read = <Result>(run: () => Result): Promise<Result> => translateFailure(guard(run));

  return {
    reserve: (reservation) => write(() => tables.reserve(reservation), reservation.entries.length),
    find: (scope, ids) => read(() => tables.find(scope, ids)),
    settle: (reservation, result) => write(() => tables.settle(reservation, result)),
    release: (reservation) => write(() => tables.release(reservation), reservation.entries.length),
    findConnection: (tenant, connectionId) => read(() => tables.findConnection(tenant, connectionId)),
  };
}

async function translateFailure<Result>(running: Promise<Result>): Promise<Result> {
  try {
    return await running;
  } catch (cause) {
    throw new IdempotencyUnavailableError(cause);
  }
}
