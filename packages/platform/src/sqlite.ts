/** A value that SQLite stores or returns. */
export type SqliteValue = null | number | bigint | string | Uint8Array;

/** A row of a result, by column name. */
export type SqliteRow = Record<string, SqliteValue>;

/** A prepared statement. Values are bound to `?` in order. */
export interface SqliteStatement {
  /** Runs a statement that returns no rows; `changes` is the number of rows it wrote. */
  run(...values: SqliteValue[]): { changes: number };
  /** The first row, or `undefined` when there is none. */
  get(...values: SqliteValue[]): SqliteRow | undefined;
  all(...values: SqliteValue[]): SqliteRow[];
}

/** A SQLite database, the same over every runtime's built-in driver. Every call is synchronous. */
export interface SqliteDatabase {
  /** Runs one or more statements without values. */
  exec(sql: string): void;
  prepare(sql: string): SqliteStatement;
  /**
   * Runs `run` in a write transaction (`BEGIN IMMEDIATE`): committed when it returns, rolled back when it throws.
   * Transactions do not nest.
   */
  transaction<Result>(run: () => Result): Result;
  /**
   * Copies the file beside itself before its tables change to `version`; see `backUpSqlite`. To be called inside
   * {@link transaction}, before anything is written. Absent for a database that is not a file.
   *
   * @throws Error when the copy cannot be written.
   */
  backUp?(version: number): void;
  close(): void;
}

/**
 * How every database is opened: a commit is on disk when it returns (`synchronous=FULL`; WAL alone may lose the last ones at
 * a power cut), readers do not wait for writers, and another process's write is waited for rather than refused.
 */
export const openingPragmas: string =
  // The wait comes first: switching to WAL takes a lock that another process may be holding.
  "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;";

/** Gives {@link SqliteDatabase.transaction} to a driver that has `exec`. */
export function runInTransaction<Result>(exec: (sql: string) => void, run: () => Result): Result {
  exec("BEGIN IMMEDIATE");
  try {
    const result = run();
    exec("COMMIT");
    return result;
  } catch (cause) {
    try {
      exec("ROLLBACK");
    } catch {
      // SQLite has rolled back by itself (a full disk does that); the first failure is the one to report.
    }
    throw cause;
  }
}
