/** What Bun, Node.js and Deno put on the errors of their drivers. */
interface DriverError {
  readonly name?: unknown;
  readonly code?: unknown;
  readonly errcode?: unknown;
  readonly errno?: unknown;
  readonly message?: unknown;
}

/** SQLite's code for a file that another process is using (SQLITE_BUSY); extended codes keep it in their lowest byte. */
const busyCode = 5;

/** Whether a failure is one of SQLite: of `node:sqlite` (Node.js, Deno) or of `bun:sqlite`. */
export function isSqliteError(cause: unknown): cause is Error {
  const { name, code }: DriverError = cause instanceof Error ? cause : {};
  return code === "ERR_SQLITE_ERROR" || name === "SQLiteError";
}

/** Whether SQLite failed because another process is using the file. */
export function isSqliteBusy(cause: unknown): boolean {
  if (!isSqliteError(cause)) return false;
  const { errcode, errno, message }: DriverError = cause;
  const code = errcode ?? errno;
  // Deno tells the code of some failures only, and of this one just the text.
  return typeof code === "number" ? (code & 0xff) === busyCode : message === "database is locked";
}
