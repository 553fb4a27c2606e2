import { existsSync, mkdtempSync, readFileSync, readdirSync, readlinkSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeEach, describe, expect, test } from "vitest";
import type { SqliteDatabase } from "../src/index.ts";

/** The contract suite of the SQLite port. `openFile` opens the same file each time, `open` any file. */
export function describeSqliteContract(
  name: string,
  openMemory: () => SqliteDatabase,
  openFile: () => SqliteDatabase,
  open: (path: string) => SqliteDatabase,
): void {
  describe(`SQLite driver: ${name}`, () => {
    let database: SqliteDatabase;
    beforeEach(() => {
      database = openMemory();
      database.exec("CREATE TABLE item (id TEXT PRIMARY KEY, value ANY) STRICT");
    });
    const ids = (): unknown[] =>
      database
        .prepare("SELECT id FROM item ORDER BY id")
        .all()
        .map((row) => row["id"]);
    const insert = (id: string, value: null | number | string | Uint8Array = null): { changes: number } =>
      database.prepare("INSERT INTO item (id, value) VALUES (?, ?)").run(id, value);

    test("the driver returns text, numbers, bytes and null as they were stored", () => {
      for (const value of ["text \u{1F600}", 1, -1.5, 9_007_199_254_740_991, null, new Uint8Array([0, 255])]) {
        database.exec("DELETE FROM item");
        insert("a", value);
        expect(database.prepare("SELECT value FROM item").get()?.["value"]).toEqual(value);
      }
    });

    test("the driver returns undefined or an empty list for a result without rows", () => {
      const statement = database.prepare("SELECT id FROM item WHERE id = ?");
      expect(statement.get("none")).toBeUndefined();
      expect(statement.all("none")).toEqual([]);
    });

    test("the driver reports the number of rows that a statement wrote", () => {
      expect(insert("a").changes).toBe(1);
      insert("b");
      expect(database.prepare("DELETE FROM item WHERE id >= ?").run("a").changes).toBe(2);
      expect(database.prepare("DELETE FROM item WHERE id = ?").run("a").changes).toBe(0);
    });

    test("the driver commits a transaction that returns, rolls back one that throws, and then runs the next one", () => {
      const result = database.transaction(() => {
        insert("kept");
        return "done";
      });
      expect(result).toBe("done");
      const cause = new Error("no");
      const failing = (): void =>
        database.transaction(() => {
          insert("undone");
          throw cause;
        });
      expect(failing).toThrow(cause);
      database.transaction(() => insert("next"));
      expect(ids()).toEqual(["kept", "next"]);
    });

    test("a constraint violation throws and rolls back its transaction", () => {
      insert("a");
      const repeat = (): void =>
        database.transaction(() => {
          insert("b");
          insert("a");
        });
      expect(repeat).toThrow(/UNIQUE/);
      expect(ids()).toEqual(["a"]);
    });

    test("the driver opens files with full synchronisation, a busy timeout and foreign keys", () => {
      const file = openFile();
      const pragma = (name: string): unknown => Object.values(file.prepare(`PRAGMA ${name}`).get() ?? {})[0];
      expect(["journal_mode", "synchronous", "busy_timeout", "foreign_keys"].map(pragma)).toEqual(["wal", 2, 5_000, 1]);
      file.close();
    });

    test("a file that is not a database is refused, is not changed, and does not stay open", () => {
      const directory = mkdtempSync(join(tmpdir(), "platform-no-database-"));
      const file = join(directory, "notes.txt");
      const notes = "these are my notes, which are longer than the header of a database file: ".repeat(4);
      writeFileSync(file, notes);
      expect(() => open(file)).toThrow(/not a database/);
      expect(openFiles()).not.toContain(file);
      expect(readFileSync(file, "utf8")).toBe(notes);
      rmSync(directory, { recursive: true });
    });

    test("commits survive closing the file and are visible to a second connection at once", () => {
      const first = openFile();
      first.exec("CREATE TABLE IF NOT EXISTS kept (id TEXT)");
      const second = openFile();
      first.prepare("INSERT INTO kept (id) VALUES (?)").run("a");
      expect(second.prepare("SELECT id FROM kept").all()).toEqual([{ id: "a" }]);
      first.close();
      second.close();
      const reopened = openFile();
      expect(reopened.prepare("SELECT id FROM kept").all()).toEqual([{ id: "a" }]);
      reopened.close();
    });
  });
}

/** The files that this process has open, if the system reports them. */
function openFiles(): readonly string[] {
  const folder = "/proc/self/fd";
  const names = existsSync(folder) ? readdirSync(folder) : [];
  return names.flatMap((name) => {
    try {
      return readlinkSync(join(folder, name));
    } catch {
      // The descriptor that listed the folder.
      return [];
    }
  });
}
