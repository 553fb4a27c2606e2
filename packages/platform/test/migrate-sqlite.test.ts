import {
  copyFileSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  utimesSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { migrateSqlite, type SqliteDatabase, type SqliteFile, type SqliteVersionStore } from "../src/index.ts";
import { openSqlite } from "../src/node/index.ts";
import { backUpSqlite } from "../src/node/back-up-sqlite.ts";

const steps = [
  "CREATE TABLE item (id TEXT PRIMARY KEY) STRICT",
  "ALTER TABLE item ADD COLUMN colour TEXT",
  "ALTER TABLE item ADD COLUMN size INTEGER",
  "ALTER TABLE item ADD COLUMN weight INTEGER",
];
let folder = "";
let path = "";

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "migrate-sqlite-"));
  path = join(folder, "x.sqlite");
});
afterEach(() => rmSync(folder, { recursive: true }));

function within<Result>(file: string, use: (database: SqliteDatabase) => Result): Result {
  const database = openSqlite(file);
  try {
    return use(database);
  } finally {
    database.close();
  }
}

function migrateTo(version: number): void {
  within(path, (database) => migrateSqlite(database, steps.slice(0, version)));
}

function insert(id: string): void {
  within(path, (database) => void database.prepare("INSERT INTO item (id) VALUES (?)").run(id));
}

/** The version, the columns and the ids of a file. */
function contents(file: string): readonly [unknown, readonly unknown[], readonly unknown[]] {
  return within(file, (database) => [
    database.prepare("PRAGMA user_version").get()?.["user_version"],
    database
      .prepare("SELECT name FROM pragma_table_info('item')")
      .all()
      .map(({ name }) => name),
    database
      .prepare("SELECT id FROM item ORDER BY id")
      .all()
      .map(({ id }) => id),
  ]);
}

const files = (): readonly string[] => readdirSync(folder).toSorted();

test("a new database gets every step, its version and no backup", () => {
  migrateTo(2);
  expect(contents(path)).toEqual([2, ["id", "colour"], []]);
  migrateTo(2);
  expect(files()).toEqual(["x.sqlite"]);
});

test("an older database is backed up with owner-only permissions, and then migrated", () => {
  migrateTo(1);
  insert("a");
  migrateTo(3);
  expect(contents(path)).toEqual([3, ["id", "colour", "size"], ["a"]]);
  expect(files()).toEqual(["x.sqlite", "x.sqlite.before-v3.backup"]);
  const backup = join(folder, "x.sqlite.before-v3.backup");
  expect(statSync(backup).mode & 0o777).toBe(0o600);
  expect(contents(backup)).toEqual([1, ["id"], ["a"]]);
});

test("a file from before versions were recorded counts as version 1, and stays unchanged until the tables change", () => {
  within(path, (database) => database.exec(`${steps[0]}; INSERT INTO item VALUES ('a')`));
  const before = readFileSync(path);
  migrateTo(1);
  expect(readFileSync(path).equals(before)).toBe(true);
  migrateTo(2);
  expect(contents(path)).toEqual([2, ["id", "colour"], ["a"]]);
  expect(contents(join(folder, "x.sqlite.before-v2.backup"))).toEqual([0, ["id"], ["a"]]);
});

test("a store that records its version in its own table is backed up too", () => {
  const versions: SqliteVersionStore = {
    read(database) {
      database.exec("CREATE TABLE IF NOT EXISTS item_schema (version INTEGER)");
      return Number(database.prepare("SELECT version FROM item_schema").get()?.["version"] ?? 0);
    },
    write: (database, version) => database.exec(`DELETE FROM item_schema; INSERT INTO item_schema VALUES (${version})`),
  };
  within(path, (database) => migrateSqlite(database, steps.slice(0, 1), versions));
  expect(files()).toEqual(["x.sqlite"]);
  within(path, (database) => migrateSqlite(database, steps.slice(0, 2), versions));
  expect(files()).toEqual(["x.sqlite", "x.sqlite.before-v2.backup"]);
});

test("a database in memory is migrated without a backup", () => {
  within(":memory:", (database) => {
    migrateSqlite(database, steps.slice(0, 1));
    migrateSqlite(database, steps);
    expect(database.prepare("PRAGMA user_version").get()).toEqual({ user_version: 4 });
  });
});

test("a database of a newer program is refused and not changed", () => {
  migrateTo(3);
  const before = readFileSync(path);
  expect(() => migrateTo(2)).toThrow("the tables have version 3, and this program knows 2");
  expect(readFileSync(path).equals(before)).toBe(true);
  expect(files()).toEqual(["x.sqlite"]);
});

test("no backup is overwritten, and the latest two are kept", () => {
  migrateTo(1);
  insert("a");
  const first = join(folder, "first.sqlite");
  copyFileSync(path, first);
  for (const [index, version] of [2, 2, 3, 2].entries()) {
    copyFileSync(first, path);
    insert(`b${index}`);
    migrateTo(version);
    for (const name of files().filter((one) => one.endsWith(".backup"))) {
      const { mtimeMs } = statSync(join(folder, name));
      utimesSync(join(folder, name), mtimeMs / 1_000 - 60, mtimeMs / 1_000 - 60);
    }
    if (index === 1) expect(files()).toContain("x.sqlite.before-v2.2.backup");
  }
  const backups = files().filter((name) => name.endsWith(".backup"));
  expect(backups.map((name) => contents(join(folder, name))[2])).toEqual([
    ["a", "b3"],
    ["a", "b2"],
  ]);
  writeFileSync(join(folder, "x.sqlite.before-v9.backup.mine"), "not a backup of ours");
  migrateTo(4);
  expect(existsSync(join(folder, "x.sqlite.before-v9.backup.mine"))).toBe(true);
});

test("a backup contains the last commit of another process, and no process can write between it and the migration", () => {
  migrateTo(1);
  const other = openSqlite(path);
  other.exec("PRAGMA busy_timeout = 1; INSERT INTO item (id) VALUES ('late')");
  within(path, (database) => {
    const spied: SqliteDatabase = {
      ...database,
      backUp(version) {
        database.backUp?.(version);
        expect(() => other.exec("INSERT INTO item (id) VALUES ('too late')")).toThrow("locked");
      },
    };
    migrateSqlite(spied, steps.slice(0, 2));
  });
  other.close();
  expect(contents(join(folder, "x.sqlite.before-v2.backup"))[2]).toEqual(["late"]);
  expect(contents(path)[2]).toEqual(["late"]);
});

test("a full disk stops the migration with one line that says so, and leaves the database unchanged and no partial backup", () => {
  migrateTo(1);
  insert("a");
  const before = readFileSync(path);
  // As SQLite reports it: the copy fails while it is written.
  const onFullDisk = (file: string): SqliteFile => ({
    ...openSqlite(file),
    copyTo() {
      throw new Error("database or disk is full");
    },
  });
  within(path, (database) => {
    const full = { ...database, backUp: (version: number) => backUpSqlite(path, version, onFullDisk) };
    const migrating = (): void => migrateSqlite(full, steps);
    expect(migrating).toThrow(
      `the backup ${path}.before-v4.backup cannot be written before the migration: database or disk is full`,
    );
  });
  expect(readFileSync(path).equals(before)).toBe(true);
  expect(files()).toEqual(["x.sqlite"]);
});

test("a folder in which no backup can be written stops the migration, and leaves the database unchanged", () => {
  migrateTo(1);
  const before = readFileSync(path);
  mkdirSync(join(folder, "x.sqlite.backup.partial"));
  expect(() => migrateTo(2)).toThrow(/cannot be written before the migration: [^\n]*x\.sqlite\.backup\.partial/);
  expect(readFileSync(path).equals(before)).toBe(true);
  expect(contents(path)).toEqual([1, ["id"], []]);
});

test("a migration that fails leaves the tables unchanged, and the next attempt makes its own backup", () => {
  migrateTo(1);
  const broken = (): void =>
    within(path, (database) => migrateSqlite(database, [steps[0] ?? "", "CREATE TABLE item (x)"]));
  expect(broken).toThrow("already exists");
  expect(contents(path)).toEqual([1, ["id"], []]);
  migrateTo(2);
  expect(files()).toEqual(["x.sqlite", "x.sqlite.before-v2.2.backup", "x.sqlite.before-v2.backup"]);
});
