/**
 * Group commit: changes of a database that wait at the same time share one transaction. A commit waits for the disk, so this makes
 * many more changes possible in a second, and blocks the event loop less often.
 */
import { isSqliteBusy, type SqliteDatabase } from "@letta-environments/platform";
import type { TransactionPart, Transactions } from "../../audit/store.ts";

/** Rows that the changes of one transaction add or remove, about, so that it does not block the event loop for long. */
const maxRows = 256;

/** Runs functions that change a database in write transactions. */
export interface GroupCommit extends Transactions {
  /**
   * Runs a change in a write transaction. Resolves when it is committed.
   *
   * @param rows How many rows it adds or removes, about. Default: 1.
   */
  write<Result>(run: () => Result, rows?: number): Promise<Result>;
}

/** Options of {@link createGroupCommit}. */
export interface GroupCommitOptions {
  /** Runs a transaction, again while another process holds the file. Default: every transaction runs once. */
  readonly guard?: <Result>(run: () => Result) => Promise<Result>;
  /** Schedules a function after the work that is ready now. Changes that arrive until then share a transaction. */
  readonly defer?: (run: () => void) => void;
}

interface Change {
  /** Makes the change, and keeps its result. */
  readonly run: () => void;
  readonly resolve: () => void;
  readonly reject: (cause: unknown) => void;
  readonly rows: number;
}

/**
 * Creates a group commit over a database. A change that throws fails alone: its transaction is rolled back, and the others run again
 * without it. Where the transaction itself fails, all its changes do. While another process holds the file, all wait together, and
 * fail together when it takes too long.
 */
export function createGroupCommit(
  database: Pick<SqliteDatabase, "transaction">,
  { guard = async (run) => run(), defer = (run) => void setImmediate(run) }: GroupCommitOptions = {},
): GroupCommit {
  const parts: TransactionPart[] = [];
  let waiting: Change[] = [];
  let isScheduled = false;

  function schedule(): void {
    if (isScheduled || waiting.length === 0) return;
    isScheduled = true;
    defer(() => {
      void commit(takeBatch()).finally(() => {
        isScheduled = false;
        schedule();
      });
    });
  }

  /** Removes the first changes that fit into one transaction; at least one. */
  function takeBatch(): readonly Change[] {
    let [count, rows] = [0, 0];
    for (const change of waiting) {
      rows += change.rows;
      if (count > 0 && rows > maxRows) break;
      count += 1;
    }
    const batch = waiting.slice(0, count);
    waiting = waiting.slice(count);
    return batch;
  }

  async function commit(batch: readonly Change[]): Promise<void> {
    let running: Change | null = null;
    const run = (): void => {
      for (const part of parts) part.begin?.();
      for (const change of batch) {
        running = change;
        change.run();
      }
      running = null;
      for (const part of parts) part.complete?.();
    };
    try {
      await guard(() => {
        running = null;
        database.transaction(run);
      });
    } catch (cause) {
      for (const part of parts) part.settled?.(false);
      return fail(batch, running, cause);
    }
    for (const part of parts) part.settled?.(true);
    for (const { resolve } of batch) resolve();
  }

  async function fail(batch: readonly Change[], running: Change | null, cause: unknown): Promise<void> {
    if (running === null || isSqliteBusy(cause)) {
      const failed = isSqliteBusy(cause) ? [...batch, ...waiting.splice(0)] : batch;
      for (const { reject } of failed) reject(cause);
      return;
    }
    running.reject(cause);
    const others = batch.filter((change) => change !== running);
    if (others.length > 0) await commit(others);
  }

  return {
    write: <Result>(run: () => Result, rows = 1) =>
      new Promise<Result>((resolve, reject) => {
        let result: Result;
        waiting.push({ run: () => void (result = run()), resolve: () => resolve(result), reject, rows });
        schedule();
      }),
    join: (part) => void parts.push(part),
  };
}
