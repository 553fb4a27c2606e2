import { isSqliteBusy, type SqliteDatabase } from "@letta-environments/platform";
import { CommandError } from "@letta-environments/command-line";
import { openDatabase } from "./open-database.ts";

/** How long a process that is just ending may take to let go, in milliseconds. */
const waitMs = 200;

/** A data directory that is this process's own until it ends. */
export interface DataDirLock {
  release(): void;
}

/**
 * Takes the data directory for the embedded environment server: rows and sockets of two of them would contradict each other. The lock
 * is SQLite's own on a file of its own, which the system lets go when the process ends, however it ends.
 *
 * @throws CommandError when another process has it.
 */
export async function lockDataDir(dataDir: string): Promise<DataDirLock> {
  const database = await openDatabase(dataDir, "gateway.lock");
  try {
    take(database);
  } catch (cause) {
    database.close();
    if (!isSqliteBusy(cause)) throw cause;
    throw new CommandError(
      `Another gateway is running with the data directory ${dataDir}: stop it, or choose another directory with --data-dir.`,
      1,
      { cause },
    );
  }
  return { release: () => database.close() };
}

function take(database: SqliteDatabase): void {
  database.exec(`PRAGMA busy_timeout = ${waitMs}`);
  database.exec("BEGIN EXCLUSIVE");
}
