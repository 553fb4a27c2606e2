import { closeSync, existsSync, fsyncSync, openSync, readdirSync, renameSync, rmSync, statSync } from "node:fs";
import { basename, dirname, join } from "node:path";
import type { SqliteFile } from "../sqlite.ts";

/** Maximum number of backups of one database. */
const keptBackups = 2;

/**
 * Copies a SQLite file before its tables change to `version`, to `NAME.before-vVERSION.backup` next to it, readable only by its
 * owner. If the name is taken, it gets a number; no backup is overwritten. Only the latest two backups are kept.
 *
 * The copy has the committed state, so the caller must hold the write lock. It gets its name only once it is complete and on disk.
 *
 * @throws Error when the backup cannot be written.
 */
export function backUpSqlite(path: string, version: number, open: (path: string) => SqliteFile): void {
  const backup = unusedName(path, version);
  const partial = `${path}.backup.partial`;
  try {
    rmSync(partial, { force: true });
    // SQLite fills an empty file, so no other user can read the copy at any time.
    closeSync(openSync(partial, "wx", 0o600));
    copyDatabase(path, partial, open);
    syncToDisk(partial);
    renameSync(partial, backup);
    syncToDisk(dirname(path));
    removeOldBackups(path, backup);
  } catch (cause) {
    removePartial(partial);
    const reason = cause instanceof Error ? cause.message : String(cause);
    throw new Error(`the backup ${backup} cannot be written before the migration: ${reason}`, { cause });
  }
}

function unusedName(path: string, version: number): string {
  for (let number = 1; ; number++) {
    const name = `${path}.before-v${version}${number === 1 ? "" : `.${number}`}.backup`;
    if (!existsSync(name)) return name;
  }
}

function copyDatabase(from: string, to: string, open: (path: string) => SqliteFile): void {
  // A separate connection, because the caller's is inside a transaction.
  const database = open(from);
  try {
    database.copyTo(to);
  } finally {
    database.close();
  }
}

function syncToDisk(path: string): void {
  const file = openSync(path, "r");
  try {
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function removeOldBackups(path: string, newest: string): void {
  const folder = dirname(path);
  const start = `${basename(path)}.before-v`;
  const older = readdirSync(folder)
    .filter((name) => name.startsWith(start) && /^\d+(\.\d+)?\.backup$/.test(name.slice(start.length)))
    .map((name) => join(folder, name))
    .filter((backup) => backup !== newest)
    .toSorted((left, right) => statSync(right).mtimeMs - statSync(left).mtimeMs);
  for (const backup of older.slice(keptBackups - 1)) rmSync(backup);
}

function removePartial(partial: string): void {
  try {
    rmSync(partial, { force: true });
  } catch {
    // Report the original failure instead.
  }
}
