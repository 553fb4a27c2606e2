/**
 * Remembers sends in SQLite, in the file of the audit records. Several processes on one machine may share the file. Concurrent sends
 * share commits, with each other and with their audit records.
 */
import type { Clock, GroupCommit, SqliteDatabase } from "@letta-environments/platform";
import { type IdempotencyStore, throwUnavailable } from "../../idempotency/store.ts";
import { type CapacityShare, defaultCapacity, openSendTables } from "./idempotency-tables.ts";

export interface SqliteIdempotencyStoreOptions {
  /** Maximum number of remembered ids, and of connections. Default: 1,000,000. */
  readonly capacity?: number;
  /** Divides the capacity; absent: all ids belong to one tenant. */
  readonly share?: CapacityShare;
  /** Runs a function that reads. */
  readonly guard?: <Result>(run: () => Result) => Promise<Result>;
}

/** Creates a store over a database that has the tables of the audit file. Its changes go through `commit`. */
export function createSqliteIdempotencyStore(
  database: SqliteDatabase,
  commit: GroupCommit,
  clock: Pick<Clock, "now" | "monotonic">,
  { capacity = defaultCapacity, share, guard = async (run) => run() }: SqliteIdempotencyStoreOptions = {},
): IdempotencyStore {
  const tables = openSendTables(database, { clock, capacity, share });
  commit.addHooks(tables);

  return {
    reserve: (reservation, recordStart) =>
      commit
        .write(
          () => {
            const outcome = tables.reserve(reservation);
            if (outcome.kind !== "reserved" || recordStart === undefined) return outcome;
            recordStart();
            return { kind: "reserved", isRecorded: true } as const;
          },
          { rows: reservation.entries.length + 1 },
        )
        .catch(throwUnavailable),
    find: (scope, ids) => guard(() => tables.find(scope, ids)).catch(throwUnavailable),
    settle: (reservation, result) => commit.write(() => tables.settle(reservation, result)).catch(throwUnavailable),
    release: (reservation) =>
      commit.write(() => tables.release(reservation), { rows: reservation.entries.length }).catch(throwUnavailable),
    findConnection: (tenant, connectionId) =>
      guard(() => tables.findConnection(tenant, connectionId)).catch(throwUnavailable),
  };
}
