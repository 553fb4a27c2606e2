import process from "node:process";
import type { DatabaseSync } from "node:sqlite";
import { openingPragmas, runInTransaction, type SqliteFile } from "../sqlite.ts";
import { backUpSqlite } from "./back-up-sqlite.ts";

/**
 * Opens or creates a SQLite database with `node:sqlite` (Node.js and Deno). The path `:memory:` creates a private database in memory.
 *
 * @throws Error when the file cannot be opened or is not a database.
 */
export function openSqlite(path: string): SqliteFile {
  // Loaded on use: a static import would end a Node.js without it before the program can name the version that it needs.
  const { DatabaseSync } = process.getBuiltinModule("node:sqlite");
  const database = new DatabaseSync(path);
  try {
    // Drivers open a file lazily: the first statement detects a file that is not a database.
    database.exec(openingPragmas);
  } catch (cause) {
    database.close();
    throw cause;
  }
  return {
    exec: (sql) => database.exec(sql),
    prepare(sql) {
      const statement = database.prepare(sql);
      return {
        run: (...values) => ({ changes: Number(statement.run(...values).changes) }),
        get: (...values) => statement.get(...values),
        all: (...values) => statement.all(...values),
      };
    },
    transaction: (run) => runInTransaction((sql) => database.exec(sql), run),
    ...(path !== ":memory:" && { backUp: (version: number) => backUpSqlite(path, version, openSqlite) }),
    copyTo: (copy) =>
      process.versions["deno"] === undefined
        ? void database.prepare("VACUUM INTO ?").run(copy)
        : copyOnDeno(database, copy),
    close: () => database.close(),
  };
}

/**
 * Deno allows `VACUUM INTO` only to programs that may read and write every file. Its `backup` obeys the permissions, and is finished when
 * it returns, but reports a failure only later. An incomplete copy is empty, because SQLite commits it as one transaction.
 */
function copyOnDeno(database: DatabaseSync, to: string): void {
  const { backup, DatabaseSync: Database } = process.getBuiltinModule("node:sqlite");
  // One step for all pages: between two steps another process could write, which would restart the copy.
  backup(database, to, { rate: -1 }).catch(() => undefined);
  const pagesOf = (file: DatabaseSync): unknown => file.prepare("PRAGMA page_count").get()?.["page_count"];
  const copy = new Database(to);
  try {
    // Another connection may have added pages since the copy, so no stricter comparison is possible.
    if (pagesOf(copy) === 0 && pagesOf(database) !== 0) throw new Error("the copy is incomplete; is the disk full?");
  } finally {
    copy.close();
  }
}
