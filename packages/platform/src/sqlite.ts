/**
 * SQLite as a port with synchronous calls. Adapters wrap each runtime's built-in driver: `node:sqlite` (Node.js, Deno),
 * `bun:sqlite` (Bun) and the SQL storage of a Durable Object (Cloudflare).
 */

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

/** An open SQLite database. */
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
   * Copies the file next to itself before its tables change to `version`; see `backUpSqlite`. Call it inside
   * {@link transaction}, before anything is written. Absent for a database that is not a file.
   *
   * @throws Error when the copy cannot be written.
   */
  backUp?(version: number): void;
  close(): void;
}

/** A database that a driver has opened by its path. */
export interface SqliteFile extends SqliteDatabase {
  /**
   * Copies the committed state into `path`, a new or an empty file, while others use the database. Do not call it inside
   * {@link transaction}.
   *
   * @throws Error when the copy cannot be written.
   */
  copyTo(path: string): void;
}

/**
 * Pragmas for every database. A commit is on disk when it returns (`synchronous=FULL`; WAL with a lower setting can lose the last commits in
 * a power cut). Readers do not wait for writers. A writer waits for another process's write. The rate limits use a lower setting, in
 * `rate-limit-store.ts` of the gateway.
 */
export const openingPragmas: string =
  // The timeout comes first, because switching to WAL takes a lock that another process may hold.
  "PRAGMA busy_timeout = 5000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL; PRAGMA foreign_keys = ON;";

/** Implements {@link SqliteDatabase.transaction} for a driver that has `exec`. */
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
      // SQLite has already rolled back, as it does when the disk is full. Report the first error.
    }
    throw cause;
  }
}

/** Properties of the errors that the drivers of Bun, Node.js and Deno throw. */
interface DriverError {
  readonly name?: unknown;
  readonly code?: unknown;
  readonly errcode?: unknown;
  readonly errno?: unknown;
  readonly message?: unknown;
}

/** SQLite's code for a file that another process is using (SQLITE_BUSY). */
const busyCode = 5;

/** Returns true for an error thrown by `node:sqlite` (Node.js, Deno) or `bun:sqlite`. */
export function isSqliteError(cause: unknown): cause is Error {
  const { name, code }: DriverError = cause instanceof Error ? cause : {};
  return code === "ERR_SQLITE_ERROR" || name === "SQLiteError";
}

/** The codes and messages of SQLite for a file that it cannot read or write: SQLITE_READONLY, _IOERR, _FULL and _CANTOPEN. */
const diskFailures: ReadonlyMap<number, string> = new Map([
  [8, "attempt to write a readonly database"],
  [10, "disk I/O error"],
  [13, "database or disk is full"],
  [14, "unable to open database file"],
]);

/** Returns true when SQLite failed because the disk is full, read-only or broken, and not because of the statement. */
export function isSqliteDiskFailure(cause: unknown): boolean {
  return isSqliteError(cause) && [...diskFailures].some(([code, message]) => hasCode(cause, code, message));
}

/** Returns true when SQLite failed because another process is using the file. */
export function isSqliteBusy(cause: unknown): boolean {
  return isSqliteError(cause) && hasCode(cause, busyCode, "database is locked");
}

/** Extended codes keep the code in their lowest byte. Deno sets the code only on some errors; the others have just the message. */
function hasCode({ errcode, errno, message }: DriverError, expected: number, expectedMessage: string): boolean {
  const code = errcode ?? errno;
  return typeof code === "number" ? (code & 0xff) === expected : String(message).startsWith(expectedMessage);
}
