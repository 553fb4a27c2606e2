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

/** A store over a database of the data directory, which whoever opened it closes. */
export interface OpenStore<Store> {
  readonly store: Store;
  readonly database: SqliteDatabase;
}

/**
 * Opens a database in the data directory and creates the store over it, which brings its tables to the newest version.
 *
 * @throws CommandError when the file cannot be used, a newer version wrote it, or it cannot be backed up before a migration.
 */
export async function openStore<Store>(
  dataDir: string,
  name: string,
  create: (database: SqliteDatabase) => Store,
): Promise<OpenStore<Store>> {
  const database = await openDatabase(dataDir, name);
  try {
    return { store: create(database), database };
  } catch (cause) {
    database.close();
    throw cannotOpen(join(dataDir, name), cause);
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
