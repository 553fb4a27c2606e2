/**
 * Group commit: changes of a database that wait at the same time share one transaction. A commit waits for the disk, so this makes
 * many more changes possible in a second, and blocks the event loop less often.
 */
import { isSqliteBusy, type SqliteDatabase } from "./sqlite.ts";

/** Rows that the changes of one transaction add or remove, about, so that it does not block the event loop for long. */
const maxRows = 256;

/** How a change shares its commit. */
export interface ChangeOptions {
  /** How many rows it adds or removes, about. Default: 1. */
  readonly rows?: number;
  /** Some milliseconds do not matter: it waits for `deferPatient`, or shares the next commit of a change that does not. Default: false. */
  readonly isPatient?: boolean;
}

/** Runs a function that changes a database in a write transaction. Resolves when it is committed. */
export type GroupCommit = <Result>(run: () => Result, options?: ChangeOptions) => Promise<Result>;

/** Options of {@link createGroupCommit}. */
export interface GroupCommitOptions {
  /** Runs a transaction, again while another process holds the file. Default: every transaction runs once. */
  readonly guard?: <Result>(run: () => Result) => Promise<Result>;
  /** Schedules a function after the work that is ready now. Changes that arrive until then share a transaction. */
  readonly defer: (run: () => void) => void;
  /**
   * The same for patient changes, after more time: a turn of Node's event loop accepts one connection, so a commit in each turn would
   * limit how fast devices connect. Default: `defer`.
   */
  readonly deferPatient?: (run: () => void) => void;
}

interface Change {
  /** Makes the change, and returns what reports its result. */
  readonly run: () => () => void;
  readonly rows: number;
  readonly isPatient: boolean;
  readonly reject: (cause: unknown) => void;
}

/**
 * Creates a group commit over a database. A change that throws fails alone. While another process holds the file, all wait together,
 * and fail together when it takes too long. A change may run again after its transaction was rolled back.
 */
export function createGroupCommit(
  database: Pick<SqliteDatabase, "transaction">,
  { guard = async (run) => run(), defer, deferPatient = defer }: GroupCommitOptions,
): GroupCommit {
  const waiting: Change[] = [];
  let isCommitting = false;
  const isScheduled = { patient: false, impatient: false };

  function schedule({ isPatient }: Pick<Change, "isPatient">): void {
    const kind = isPatient ? "patient" : "impatient";
    if (isCommitting || isScheduled[kind]) return;
    isScheduled[kind] = true;
    (isPatient ? deferPatient : defer)(() => {
      isScheduled[kind] = false;
      start();
    });
  }

  function start(): void {
    if (isCommitting || waiting.length === 0) return;
    isCommitting = true;
    void commit(takeBatch(waiting)).finally(() => {
      isCommitting = false;
      const next = waiting.find(({ isPatient }) => !isPatient) ?? waiting[0];
      if (next !== undefined) schedule(next);
    });
  }

  async function commit(batch: readonly Change[]): Promise<void> {
    try {
      const reports = await guard(() => database.transaction(() => batch.map(({ run }) => run())));
      for (const report of reports) report();
    } catch (cause) {
      if (isSqliteBusy(cause)) for (const { reject } of [...batch, ...waiting.splice(0)]) reject(cause);
      else if (batch.length === 1) batch[0]?.reject(cause);
      else for (const change of batch) await commit([change]);
    }
  }

  return (run, { rows = 1, isPatient = false } = {}) =>
    new Promise((resolve, reject) => {
      const report = (): (() => void) => {
        const result = run();
        return () => resolve(result);
      };
      const change: Change = { run: report, rows, isPatient, reject };
      waiting.push(change);
      schedule(change);
    });
}

/** Removes the first changes that fit into one transaction; at least one. */
function takeBatch(waiting: Change[]): readonly Change[] {
  let [count, rows] = [0, 0];
  for (const change of waiting) {
    rows += change.rows;
    if (count > 0 && rows > maxRows) break;
    count += 1;
  }
  return waiting.splice(0, count);
}
