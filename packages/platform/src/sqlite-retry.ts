/**
 * Waits for a SQLite file that another process has locked, without blocking the event loop. SQLite itself waits by sleeping, so
 * open the database with a short `busy_timeout`; this module retries instead.
 */
import { isSqliteBusy } from "./sqlite.ts";

/** Another process has locked the file for too long. Nothing was written. */
export class SqliteLockedError extends Error {
  override readonly name = "SqliteLockedError";
}

/** The clock functions for waiting calls. */
export interface SqliteRetryTime {
  /** Milliseconds that never go back. */
  monotonic(): number;
  /** Resolves after a time in milliseconds. A command must pass one that keeps its process alive. */
  pause(durationMs: number): Promise<unknown>;
}

/** Runs functions that use a database. */
export interface SqliteRetry {
  /**
   * Runs a function that may write, and repeats it while the file is locked. Waiting functions run in the order of their
   * calls.
   *
   * @param run has no effect when it fails because the file is locked, such as one statement or one transaction
   * @throws SqliteLockedError when the file stays locked
   */
  write<Result>(run: () => Result | Promise<Result>): Promise<Result>;
  /** Like `write`, for a function that only reads. It does not queue, because readers are seldom locked out. */
  read<Result>(run: () => Result | Promise<Result>): Promise<Result>;
}

/** Pause between two attempts, in milliseconds. */
const pauseMs = 20;
/** How long writes that have waited may follow each other without a pause, in milliseconds. */
const batchMs = 10;

interface Job {
  /** Makes one attempt. Returns whether the job has ended, with a result or another failure. */
  attempt(): Promise<boolean>;
  giveUp(): void;
}

/**
 * Creates a {@link SqliteRetry} for one database.
 *
 * @param maxWaitMs how long calls wait for one lock, counted from the first call that found it. Later calls do not wait longer than
 *   that
 */
export function createSqliteRetry({ monotonic, pause }: SqliteRetryTime, maxWaitMs: number): SqliteRetry {
  let lock: { readonly sinceMs: number; lastBusyMs: number } | null = null;
  const waiting: Job[] = [];
  let isRetrying = false;

  function recordBusy(): void {
    const nowMs = monotonic();
    // If no call is waiting and the last encounter was long ago, this is a new lock.
    if (lock === null || (!isRetrying && nowMs - lock.lastBusyMs > maxWaitMs))
      lock = { sinceMs: nowMs, lastBusyMs: nowMs };
    else lock.lastBusyMs = nowMs;
  }

  function isExpired(): boolean {
    return lock !== null && monotonic() - lock.sinceMs >= maxWaitMs;
  }

  async function retryInOrder(): Promise<void> {
    isRetrying = true;
    let isLocked = true;
    while (waiting.length > 0) {
      if (isExpired()) {
        for (const job of waiting.splice(0)) job.giveUp();
        break;
      }
      await pause(isLocked ? pauseMs : 0);
      // Writes block the process, so other work runs between batches of them.
      const endMs = monotonic() + batchMs;
      do {
        isLocked = !(await waiting[0]?.attempt());
        if (!isLocked) waiting.shift();
      } while (!isLocked && waiting.length > 0 && monotonic() < endMs);
    }
    isRetrying = false;
  }

  function run<Result>(operation: () => Result | Promise<Result>, isWrite: boolean): Promise<Result> {
    return new Promise((resolve, reject) => {
      let lastCause: unknown;
      const job: Job = {
        async attempt() {
          try {
            resolve(await operation());
            if (isWrite) lock = null;
            return true;
          } catch (cause) {
            lastCause = cause;
            if (isSqliteBusy(cause)) recordBusy();
            else reject(cause);
            return !isSqliteBusy(cause);
          }
        },
        giveUp: () => reject(new SqliteLockedError("another process keeps the database locked", { cause: lastCause })),
      };
      const wait = (): void => {
        waiting.push(job);
        if (!isRetrying) void retryInOrder();
      };
      if (isRetrying && isWrite) wait();
      else void job.attempt().then((hasEnded) => (hasEnded ? undefined : wait()));
    });
  }

  return { write: (operation) => run(operation, true), read: (operation) => run(operation, false) };
}
