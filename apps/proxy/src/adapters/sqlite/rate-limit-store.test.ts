import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SqliteDatabase } from "@letta-environments/platform";
import { openSqlite } from "@letta-environments/platform/node";
import { createVirtualClock } from "@letta-environments/testkit";
import { afterEach, expect, test } from "vitest";
import { describeRateLimitStore } from "../../../test/rate-limit-store-contract.ts";
import { testCheck } from "../../../test/support/test-check.ts";
import { createSqliteRateLimitStore } from "./rate-limit-store.ts";

const options = { probe: false, leaseId: null };
const folders: string[] = [];
const databases: SqliteDatabase[] = [];

function newFile(): string {
  const folder = mkdtempSync(join(tmpdir(), "rate-limits-"));
  folders.push(folder);
  return join(folder, "limits.sqlite");
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

describeRateLimitStore("in SQLite", { time: "monotonic", runs: 200 }, (clock) =>
  createSqliteRateLimitStore(open(":memory:"), clock),
);

test("counts survive a restart", () => {
  const path = newFile();
  const clock = createVirtualClock();
  const database = openSqlite(path);
  const lease = testCheck({ name: "leases", unit: "concurrent-requests", limit: 1 });
  const spent = createSqliteRateLimitStore(database, clock).take([testCheck({}, "somebody", 10), lease], {
    probe: false,
    leaseId: "before",
  });
  database.close();
  const store = createSqliteRateLimitStore(open(path), clock);
  expect(spent.admitted).toBe(true);
  expect(store.take([testCheck()], options).admitted).toBe(false);
  expect(store.take([lease], { probe: false, leaseId: "after" }).admitted).toBe(false);
});

test("processes that share a file share the limits", () => {
  const path = newFile();
  const clock = createVirtualClock();
  const stores = Array.from({ length: 4 }, () => createSqliteRateLimitStore(open(path), clock));
  const outcomes = Array.from({ length: 50 }, () => stores.map((store) => store.take([testCheck()], options))).flat();
  expect(outcomes.filter(({ admitted }) => admitted)).toHaveLength(10);
});

test("processes that share a file share the limits although some started before the wall clock was set back", async () => {
  const path = newFile();
  const clock = createVirtualClock();
  const before = createSqliteRateLimitStore(open(path), clock);
  const spend = (store: typeof before) => store.take([testCheck()], options).admitted;
  expect(Array.from({ length: 10 }, () => spend(before)).every(Boolean)).toBe(true);
  clock.shiftWallTime(-86_400_000);
  const after = createSqliteRateLimitStore(open(path), clock);
  expect([spend(after), spend(before)]).toEqual([false, false]);
  await clock.advance(100);
  expect([spend(after), spend(before), spend(after)]).toEqual([true, false, false]);
});

test("after a restart with the clock set back, no request waits longer than for an empty bucket", async () => {
  const path = newFile();
  const clock = createVirtualClock();
  const database = openSqlite(path);
  const lease = testCheck({ name: "leases", unit: "concurrent-requests", limit: 1 });
  createSqliteRateLimitStore(database, clock).take([testCheck(), lease], { probe: false, leaseId: "before" });
  database.close();
  clock.shiftWallTime(-86_400_000);
  const store = createSqliteRateLimitStore(open(path), clock);
  await clock.advance(1_000);
  expect(store.take([testCheck({}, "somebody", 10), lease], { probe: false, leaseId: "after" }).admitted).toBe(true);
});

test.each([
  ["40 ms", undefined, 40],
  ["the deadline", 10, 10],
])(
  "the store waits no longer than %s for a file that another process holds, and then throws",
  (_what, deadlineMs, waitMs) => {
    const path = newFile();
    const [holder, database] = [open(path), open(path)];
    const store = createSqliteRateLimitStore(database, createVirtualClock(), deadlineMs);
    // SQLite itself waits, in real time, and for nothing else.
    expect(database.prepare("PRAGMA busy_timeout").get()).toEqual({ timeout: waitMs });
    holder.transaction(() => expect(() => store.take([testCheck()], options)).toThrow(/locked/));
    expect(store.take([testCheck()], options).admitted).toBe(true);
  },
);

test("the store removes idle rows during other requests", async () => {
  const database = open(":memory:");
  const clock = createVirtualClock();
  const store = createSqliteRateLimitStore(database, clock);
  const count = () => Number(database.prepare("SELECT count(*) AS count FROM rate_limits").get()?.["count"]);
  for (let index = 0; index < 300; index++) store.take([testCheck({}, `key ${index}`)], options);
  expect(count()).toBe(300);
  await clock.advance(1_000);
  for (let index = 0; index < 128; index++) store.take([testCheck({}, "busy")], options);
  expect(count()).toBe(1);
});
