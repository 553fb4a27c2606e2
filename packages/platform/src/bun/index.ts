/// <reference path="./bun-sqlite.d.ts" />
import { Database } from "bun:sqlite";
import { backUpSqlite } from "../node/back-up-sqlite.ts";
import { openingPragmas, runInTransaction, type SqliteFile } from "../sqlite.ts";

/**
 * Opens or creates a SQLite database with `bun:sqlite`. The path `:memory:` creates a private database in memory.
 *
 * @throws Error when the file cannot be opened or is not a database.
 */
export function openSqlite(path: string): SqliteFile {
  const database = new Database(path, { create: true, readwrite: true });
  try {
    // Drivers open a file lazily: the first statement detects a file that is not a database.
    database.run(openingPragmas);
  } catch (cause) {
    database.close();
    throw cause;
  }
  return {
    exec: (sql) => void database.run(sql),
    prepare(sql) {
      const statement = database.prepare(sql);
      return {
        run: (...values) => ({ changes: statement.run(...values).changes }),
        get: (...values) => statement.get(...values) ?? undefined,
        all: (...values) => statement.all(...values),
      };
    },
    transaction: (run) => runInTransaction((sql) => database.run(sql), run),
    ...(path !== ":memory:" && { backUp: (version: number) => backUpSqlite(path, version, openSqlite) }),
    copyTo: (copy) => void database.prepare("VACUUM INTO ?").run(copy),
    close: () => database.close(),
  };
}
