import { chmodSync, mkdirSync, statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { isSqliteBusy, type SqliteDatabase } from "@letta-environments/platform";
import { openSqlite } from "@letta-environments/platform/sqlite";
import { CommandError } from "./command-error.ts";

const attempts = 100;
const pauseMs = 50;

/**
 * Opens a database in the data directory, which is made when there is none, for its owner alone.
 *
 * @throws CommandError when the directory or the file cannot be used.
 */
export async function openDatabase(dataDir: string, name: string): Promise<SqliteDatabase> {
  const path = join(dataDir, name);
  for (let attempt = 1; ; attempt++) {
    try {
      prepare(dataDir);
      return openSqlite(path);
    } catch (cause) {
      if (attempt === attempts || !isSqliteBusy(cause)) throw cannotOpen(path, cause);
    }
    // Two processes that make a new file at once: SQLite refuses the second one without waiting.
    await delay(pauseMs);
  }
}

/**
 * Makes the data directory when there is none, for its owner alone.
 *
 * @throws CommandError when it cannot be used.
 */
export function makeDataDir(dataDir: string): void {
  try {
    prepare(dataDir);
  } catch (cause) {
    throw cannotOpen(dataDir, cause);
  }
}

function prepare(dataDir: string): void {
  mkdirSync(dataDir, { recursive: true, mode: 0o700 });
  closeToOthers(dataDir);
}

/** Takes a directory that is there already away from others; one that everybody may write to is never ours. */
function closeToOthers(dataDir: string): void {
  const { mode } = statSync(dataDir);
  if ((mode & 0o002) !== 0) throw new Error("everybody may write to the data directory; use one of your own");
  if ((mode & 0o077) !== 0) chmodSync(dataDir, 0o700);
}

function cannotOpen(path: string, cause: unknown): CommandError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new CommandError(`${path} cannot be opened: ${reason}`, 1, { cause });
}

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
