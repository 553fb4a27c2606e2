import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SqliteDatabase } from "@letta-environments/platform";
import { openSqlite, systemClock } from "@letta-environments/platform/node";
import { createVirtualClock } from "@letta-environments/testkit";
import { afterEach, expect, test, vi } from "vitest";
import { describeKeyStore } from "../../../test/key-store-contract.ts";
import { createTestKeyRecord } from "../../../test/support/create-test-key-record.ts";
import { issueTestKey } from "../../../test/support/test-proxy.ts";
import { createSqliteKeyStore } from "./key-store.ts";

const folders: string[] = [];
const databases: SqliteDatabase[] = [];

function newFile(): string {
  const folder = mkdtempSync(join(tmpdir(), "key-store-"));
  folders.push(folder);
  return join(folder, "proxy.sqlite");
}

function open(path: string): SqliteDatabase {
  const database = openSqlite(path);
  databases.push(database);
  return database;
}

afterEach(() => {
  for (const database of databases.splice(0)) database.close();
  for (const folder of folders.splice(0)) rmSync(folder, { recursive: true });
});

describeKeyStore("in a SQLite file", { generationBoundMs: 20, storesText: true }, () => {
  const path = newFile();
  return {
    connect: (clock, onDamaged) => Promise.resolve(createSqliteKeyStore(open(path), clock, onDamaged)),
    async damage(id, text) {
      open(path).prepare("UPDATE keys SET record = ? WHERE id = ?").run(text, id);
    },
    settle: () => Promise.resolve(),
  };
});

test("a page of keys reads the records of its own keys only, and a damaged one among them does not end it", async () => {
  const [path, damaged] = [newFile(), [] as string[]];
  const store = createSqliteKeyStore(open(path), systemClock, (id) => void damaged.push(id));
  const records = [1, 2, 3, 4, 5].map((createdAt) => createTestKeyRecord({}, createdAt));
  const [first = "", second = "", , fourth = ""] = records.map(({ id }) => id);
  for (const record of records) await store.create(record);
  const damage = open(path).prepare("UPDATE keys SET record = '{}' WHERE id = ?");
  for (const id of [first, fourth]) damage.run(id);
  const matches = (): boolean => true;
  expect(await store.list({ after: first, limit: 1, matches })).toEqual(records.slice(1, 2));
  expect(damaged).toEqual([]);
  expect(await store.list({ after: second, limit: 2, matches })).toEqual([records[2], records[4]]);
  expect(damaged).toEqual([fourth]);
});

test("a search reads at most 512 Ki characters of long records before other work runs, and ends when they fill a page", async () => {
  const [database, clock] = [open(newFile()), createVirtualClock()];
  const store = createSqliteKeyStore(database, clock);
  const agentIds = Array.from({ length: 300_000 / 100 }, () => "a".repeat(97));
  const records = [1, 2, 3, 4, 5, 6].map((createdAt) => createTestKeyRecord({ agentIds }, createdAt));
  for (const record of records) await store.create(record);
  const turns = vi.spyOn(clock, "setTimer");
  const searched = store.list({ after: undefined, limit: 7, matches: () => false });
  for (let turn = 0; turn < 4; turn += 1) await clock.advance(0);
  expect(await searched).toEqual([]);
  expect(turns).toHaveBeenCalledTimes(3);
  expect(await store.list({ after: undefined, limit: 7, matches: () => true })).toEqual(records.slice(0, 2));
});

test("each part of a list of keys reads only its own keys, and a summary no record, also in a file of a version without indexes", () => {
  const database = open(newFile());
  createSqliteKeyStore(database, systemClock);
  database.exec("DROP INDEX keys_by_creation; DROP INDEX keys_by_tenant");
  const statements: string[] = [];
  const prepare = (sql: string) => {
    statements.push(sql);
    return database.prepare(sql);
  };
  createSqliteKeyStore({ ...database, prepare }, systemClock);
  const lists = statements.filter((sql) => / ORDER BY .* LIMIT |SELECT DISTINCT/.test(sql));
  const plans = lists.map((sql) =>
    database.prepare(`EXPLAIN QUERY PLAN ${sql}`).all(...(sql.match(/\?/g) ?? []).map(() => 1)),
  );
  expect(plans.map(([first]) => first?.["detail"])).toEqual([
    "SCAN keys USING COVERING INDEX keys_by_creation",
    expect.stringMatching(/^SEARCH keys USING COVERING INDEX keys_by_creation \(.*created_at>\?\)$/),
    "SEARCH keys USING COVERING INDEX keys_by_tenant (<expr>=?)",
    "SEARCH keys USING COVERING INDEX keys_by_tenant (<expr>=? AND created_at>?)",
    "SCAN keys USING COVERING INDEX keys_by_tenant",
  ]);
  expect(
    plans
      .slice(0, 4)
      .flat()
      .filter(({ detail }) => String(detail).includes("TEMP B-TREE")),
  ).toEqual([]);
});

test("keys are still stored when the file is opened again", async () => {
  const path = newFile();
  const clock = createVirtualClock();
  const database = openSqlite(path);
  const { record } = await issueTestKey(createSqliteKeyStore(database, clock), clock);
  database.close();
  expect(await createSqliteKeyStore(open(path), clock).find(record.id)).toEqual(record);
});

test("a process detects the changes of another process although its clock was set back", async () => {
  const path = newFile();
  const clock = createVirtualClock();
  const store = createSqliteKeyStore(open(path), clock);
  const before = store.generation();
  clock.shiftWallTime(-86_400_000);
  await clock.advance(20);
  await issueTestKey(createSqliteKeyStore(open(path), createVirtualClock()), createVirtualClock());
  expect(store.generation()).not.toBe(before);
});

test("a change by another process is detected although the first read of it failed, and until then the store never reports that nothing changed", async () => {
  const path = newFile();
  const clock = createVirtualClock();
  const database = open(path);
  let isUnreadable = false;
  const unreadable: SqliteDatabase = {
    ...database,
    prepare(sql) {
      const statement = database.prepare(sql);
      const get: typeof statement.get = (...values) => {
        if (isUnreadable && sql.includes("key_changes")) throw new Error("disk I/O error");
        return statement.get(...values);
      };
      return { ...statement, get };
    },
  };
  const store = createSqliteKeyStore(unreadable, clock);
  const before = store.generation();
  await issueTestKey(createSqliteKeyStore(open(path), clock), clock);
  await clock.advance(20);
  isUnreadable = true;
  expect(() => store.generation()).toThrow("disk I/O error");
  expect(() => store.generation()).toThrow("disk I/O error");
  isUnreadable = false;
  expect(store.generation()).not.toBe(before);
});
