import { afterEach, beforeEach, expect, test } from "vitest";
import { createGroupCommit, type GroupCommit } from "./group-commit.ts";
import { openSqlite } from "./node/index.ts";
import type { SqliteDatabase } from "./sqlite.ts";

let database: SqliteDatabase;
let transactions = 0;
let commit: GroupCommit;
let failure: Error | null = null;

beforeEach(() => {
  database = openSqlite(":memory:");
  database.exec("CREATE TABLE numbers (number INTEGER PRIMARY KEY)");
  transactions = 0;
  failure = null;
  const counting: Pick<SqliteDatabase, "transaction"> = {
    transaction(run) {
      transactions += 1;
      return database.transaction(run);
    },
  };
  commit = createGroupCommit(counting, {
    defer: setImmediate,
    async guard(run) {
      // As if waiting for the file.
      await Promise.resolve();
      if (failure !== null) throw failure;
      return run();
    },
  });
});

afterEach(() => database.close());

function insert(number: number): number {
  database.prepare("INSERT INTO numbers (number) VALUES (?)").run(number);
  return number;
}

function stored(): readonly number[] {
  return database
    .prepare("SELECT number FROM numbers ORDER BY number")
    .all()
    .map((row) => Number(row["number"]));
}

test("changes that wait at the same time share a transaction, and each receives its own result", async () => {
  const numbers = Array.from({ length: 200 }, (_, index) => index);
  expect(await Promise.all(numbers.map((number) => commit.write(() => insert(number))))).toEqual(numbers);
  expect([transactions, stored().length]).toEqual([1, 200]);
});

test("a transaction changes at most 256 rows, or those of one change", async () => {
  const rows = [1_000, 250, 6, 1, 128, 127, 128];
  await Promise.all(rows.map((count, index) => commit.write(() => insert(index), { rows: count })));
  expect(transactions).toBe(4);
});

test("a change resolves only after its transaction is committed", async () => {
  database.exec(
    "PRAGMA foreign_keys = ON; CREATE TABLE parts (number INTEGER REFERENCES numbers DEFERRABLE INITIALLY DEFERRED)",
  );
  const broken = commit.write(() => database.exec("INSERT INTO parts (number) VALUES (7)"));
  await expect(broken).rejects.toThrow(/FOREIGN KEY/);
  expect(database.prepare("SELECT * FROM parts").all()).toEqual([]);
});

test("relaxed changes wait for their time, or share the commit of an urgent one", async () => {
  let endWait = (): void => undefined;
  const deferRelaxed = (run: () => void): void => void (endWait = run);
  commit = createGroupCommit(database, { defer: setImmediate, deferRelaxed });
  const relaxed = commit.write(() => insert(1), { isRelaxed: true });
  await new Promise((resolve) => void setImmediate(resolve));
  expect(stored()).toEqual([]);
  await Promise.all([relaxed, commit.write(() => insert(2))]);
  expect(stored()).toEqual([1, 2]);
  endWait();
  const another = commit.write(() => insert(3), { isRelaxed: true });
  endWait();
  await another;
  expect(stored()).toEqual([1, 2, 3]);
});

test("a change that throws fails on its own, and leaves nothing behind", async () => {
  const results = await Promise.allSettled([
    commit.write(() => insert(1)),
    commit.write(() => {
      insert(2);
      throw new Error("no");
    }),
    commit.write(() => insert(3)),
    commit.write(() => insert(1)),
  ]);
  expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected", "fulfilled", "rejected"]);
  expect(stored()).toEqual([1, 3]);
});

test("when another process holds the file for too long, all changes that wait fail, and later ones succeed", async () => {
  failure = Object.assign(new Error("database is locked"), { code: "ERR_SQLITE_ERROR", errcode: 5 });
  const first = commit.write(() => insert(1));
  const results = await Promise.allSettled([
    first,
    ...Array.from({ length: 200 }, (_, index) => commit.write(() => insert(index + 2))),
  ]);
  expect(results.every((result) => result.status === "rejected" && result.reason === failure)).toBe(true);
  expect(transactions).toBe(0);
  failure = null;
  expect(await commit.write(() => insert(5))).toBe(5);
  expect(stored()).toEqual([5]);
});

test("a participant begins and completes every transaction, and is notified whether it was committed", async () => {
  const calls: string[] = [];
  commit.addHooks({
    begin: () => void calls.push("begin"),
    complete: () => void calls.push("complete"),
    settled: (isCommitted) => void calls.push(isCommitted ? "committed" : "failed"),
  });
  const results = await Promise.allSettled([
    commit.write(() => void calls.push("change")),
    commit.write(() => {
      throw new Error("no");
    }),
  ]);
  expect(results.map(({ status }) => status)).toEqual(["fulfilled", "rejected"]);
  expect(calls).toEqual(["begin", "change", "failed", "begin", "change", "complete", "committed"]);
});
