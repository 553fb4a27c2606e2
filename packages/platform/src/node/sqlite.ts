import process from "node:process";
import { openingPragmas, runInTransaction, type SqliteDatabase } from "../sqlite.ts";
import { backUpSqlite } from "./back-up-sqlite.ts";

/**
 * Opens or creates a SQLite database with `node:sqlite` (Node.js and Deno). The path `:memory:` creates a private database in memory.
 *
 * @throws Error when the file cannot be opened or is not a database.
 */
export function openSqlite(path: string): SqliteDatabase {
  // Loaded on use: a static import would end a Node.js without it before the program can name the version that it needs.
  const { DatabaseSync } = process.getBuiltinModule("node:sqlite");
  const database = new DatabaseSync(path);
  database.exec(openingPragmas);
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
    close: () => database.close(),
  };
}
