/**
 * Remembers sends in SQLite, in the file of the audit records. Several processes on one machine may share the file. Concurrent sends
 * share commits. Times start at the wall time and then advance with monotonic time.
 */
import { type Clock, createSteadyNow, type SqliteDatabase } from "@letta-environments/platform";
import { IdempotencyUnavailableError, type IdempotencyStore } from "../../idempotency/store.ts";
import { migrateAuditFile } from "./audit-migrations.ts";
import { createGroupCommit, type GroupCommitOptions } from "./group-commit.ts";
import { defaultCapacity, openSendTables } from "./idempotency-tables.ts";

/** Options of {@link createSqliteIdempotencyStore}. */
export interface SqliteIdempotencyStoreOptions extends GroupCommitOptions {
  /** Ids that are remembered at most; as many connections are. Default: 1,000,000. */
  readonly capacity?: number;
}

/** Rows that are changed in one transaction when a file is opened whose times are from the future. */
const rowsPerClamp = 1_000;

/** Creates a store over a database, and migrates its tables. */
export function createSqliteIdempotencyStore(
  database: SqliteDatabase,
  clock: Pick<Clock, "now" | "monotonic">,
  { capacity = defaultCapacity, ...options }: SqliteIdempotencyStoreOptions = {},
): IdempotencyStore {
  migrateAuditFile(database);
  const tables = openSendTables(database, capacity);
  const now = createSteadyNow(clock);
  // If the clock was set back since the last start, what is stored would stay too long.
  while (database.transaction(() => tables.clamp(now(), rowsPerClamp)) > 0);

  const { guard = async (run) => run() } = options;
  const commit = createGroupCommit(database, options);

  // The time is read within the transaction: while it waited, another process may have decided later sends.
  const write = <Result>(run: () => Result): Promise<Result> => translateFailure(commit(run));
  const read = <Result>(run: () => Result): Promise<Result> => translateFailure(guard(run));

  return {
    reserve: (reservation) => write(() => tables.reserve(reservation, now())),
    find: (scope, ids) => read(() => tables.find(scope, ids, now())),
    settle: (reservation, result) => write(() => tables.settle(reservation, result, now())),
    release: (reservation) => write(() => tables.release(reservation)),
    findConnection: (tenant, connectionId) => read(() => tables.findConnection(tenant, connectionId, now())),
  };
}

async function translateFailure<Result>(running: Promise<Result>): Promise<Result> {
  try {
    return await running;
  } catch (cause) {
    throw new IdempotencyUnavailableError(cause);
  }
}
