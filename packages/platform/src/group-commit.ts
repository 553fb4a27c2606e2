/**
 * Group commit: changes of a database that wait at the same time share one transaction. A commit waits for the disk, so this makes
 * many more changes possible in a second, and blocks the event loop less often.
 */
import { isSqliteBusy, type SqliteDatabase } from "./sqlite.ts";

/** Approximate number of rows that the changes of one transaction add or remove, so that it does not block the event loop for long. */
const maxRows = 256;

/** How a change shares its commit. */
export interface ChangeOptions {
  /** About how many rows it adds or removes. Default: 1. */
  readonly rows?: number;
  /** Whether the change may wait a few milliseconds: for `deferRelaxed`, or for the next commit of a change that is not relaxed. Default: false. */
  readonly isRelaxed?: boolean;
}

/**
 * Runs a function that changes a database, in a write transaction. Resolves when it is committed. The function may run again after
 * its transaction was rolled back.
 */
export type CommitChange = <Result>(run: () => Result, options?: ChangeOptions) => Promise<Result>;

/** Work around the changes of every transaction, such as a total that is stored once for all of them. */
export interface TransactionHooks {
  /** Called before the first change. */
  begin?(): void;
  /** Called after the last change, before the commit. */
  complete?(): void;
  /** Called after the commit, or after a failure. It is not certain that a failed transaction was rolled back. */
  settled?(isCommitted: boolean): void;
}

/** Runs changes of a database in write transactions. Changes that wait at the same time share one, and are durable together. */
export interface GroupCommit {
  readonly write: CommitChange;
  /** Adds work to every transaction. */
  addHooks(hooks: TransactionHooks): void;
}

/** Options of {@link createGroupCommit}. */
export interface GroupCommitOptions {
  /** Runs a transaction, again while another process holds the file. Default: every transaction runs once. */
  readonly guard?: <Result>(run: () => Result) => Promise<Result>;
  /** Schedules a function after the work that is ready now. Changes that arrive before it runs share a transaction. */
  readonly defer: (run: () => void) => void;
  /**
   * Like `defer`, for relaxed changes and with a longer delay: a turn of Node's event loop accepts one connection, so a commit in
   * each turn would limit how fast devices connect. Default: `defer`.
   */
  readonly deferRelaxed?: (run: () => void) => void;
}

interface Change {
  /** Makes the change, and keeps its result. */
  readonly run: () => void;
  readonly resolve: () => void;
  readonly reject: (cause: unknown) => void;
  readonly rows: number;
  readonly isRelaxed: boolean;
}

/**
 * Creates a group commit over a database. A change that throws fails alone: its transaction is rolled back, and the others run again
 * without it. If the transaction itself fails, so do all its changes. While another process holds the file, all changes wait
 * together, and fail together if it takes too long.
 */
export function createGroupCommit(
  database: Pick<SqliteDatabase, "transaction">,
  { guard = async (run) => run(), defer, deferRelaxed = defer }: GroupCommitOptions,
): GroupCommit {
  const allHooks: TransactionHooks[] = [];
  const waiting: Change[] = [];
  let isCommitting = false;
  const isScheduled = { relaxed: false, urgent: false };

  function schedule(isRelaxed: boolean): void {
    const kind = isRelaxed ? "relaxed" : "urgent";
    if (isCommitting || isScheduled[kind]) return;
    isScheduled[kind] = true;
    (isRelaxed ? deferRelaxed : defer)(() => {
      isScheduled[kind] = false;
      start();
    });
  }

  function start(): void {
    if (isCommitting || waiting.length === 0) return;
    isCommitting = true;
    void commit(takeBatch(waiting)).finally(() => {
      isCommitting = false;
      const next = waiting.find(({ isRelaxed }) => !isRelaxed) ?? waiting[0];
      if (next !== undefined) schedule(next.isRelaxed);
    });
  }

  async function commit(batch: readonly Change[]): Promise<void> {
    let running: Change | null = null;
    const run = (): void => {
      for (const hooks of allHooks) hooks.begin?.();
      for (const change of batch) {
        running = change;
        change.run();
      }
      running = null;
      for (const hooks of allHooks) hooks.complete?.();
    };
    try {
      await guard(() => {
        running = null;
        database.transaction(run);
      });
    } catch (cause) {
      for (const hooks of allHooks) hooks.settled?.(false);
      return fail(batch, running, cause);
    }
    for (const hooks of allHooks) hooks.settled?.(true);
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
    write: <Result>(run: () => Result, { rows = 1, isRelaxed = false }: ChangeOptions = {}) =>
      new Promise<Result>((resolve, reject) => {
        let result: Result;
        waiting.push({ run: () => void (result = run()), resolve: () => resolve(result), reject, rows, isRelaxed });
        schedule(isRelaxed);
      }),
    addHooks: (hooks) => void allHooks.push(hooks),
  };
}

/** Removes the first changes that fit into one transaction, at least one. */
function takeBatch(waiting: Change[]): readonly Change[] {
  let [count, rows] = [0, 0];
  for (const change of waiting) {
    rows += change.rows;
    if (count > 0 && rows > maxRows) break;
    count += 1;
  }
  return waiting.splice(0, count);
}
