/**
 * Migrations of SQLite databases. A store lists the SQL of every version of its tables; opening a database runs its missing steps
 * in one transaction. A file that already holds data is backed up first.
 */
import type { SqliteDatabase } from "./sqlite.ts";

/** Where a database records the version of its tables. Both functions run inside the migration's transaction. */
export interface SqliteVersionStore {
  /** The recorded version; 0 when the tables do not exist yet. */
  read(database: SqliteDatabase): number;
  write(database: SqliteDatabase, version: number): void;
}

/** Records the version in `PRAGMA user_version`, for a database that belongs to one store. */
const userVersion: SqliteVersionStore = {
  read(database) {
    const version = Number(database.prepare("PRAGMA user_version").get()?.["user_version"]);
    if (version > 0) return version;
    // Files from before versions were recorded have the tables of version 1.
    return database.prepare("SELECT 1 FROM sqlite_schema LIMIT 1").get() === undefined ? 0 : 1;
  },
  write: (database, version) => database.exec(`PRAGMA user_version = ${version}`),
};

/**
 * Brings the tables of a database to the newest version. A database with an older version is backed up first ({@link
 * SqliteDatabase.backUp}), while the transaction keeps other writers out.
 *
 * @param steps the SQL that leads from each version to the next, oldest first. The first step creates the tables. A released step
 *   is never edited.
 * @throws Error when a newer program has written the database, or the backup cannot be written. The database is then unchanged.
 */
export function migrateSqlite(
  database: SqliteDatabase,
  steps: readonly string[],
  versions: SqliteVersionStore = userVersion,
): void {
  database.transaction(() => {
    const version = versions.read(database);
    const newest = steps.length;
    if (version > newest) {
      throw new Error(
        `the tables have version ${version}, and this program knows ${newest}: a newer program wrote them`,
      );
    }
    if (version === newest) return;
    if (version > 0) database.backUp?.(newest);
    for (const step of steps.slice(version)) database.exec(step);
    versions.write(database, newest);
  });
}
