import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import type { Clock, SqliteDatabase } from "@letta-environments/platform";
import { openSqlite, systemClock } from "@letta-environments/platform/node";
import { createVirtualClock, launchProcess } from "@letta-environments/testkit";
import { afterEach, describe, expect, test } from "vitest";
import { describeIdempotencyStore } from "../../../test/idempotency-store-contract.ts";
import { openSendStore } from "../../../test/support/open-send-store.ts";
import { testReservation, testResult, testScope } from "../../../test/support/test-reservation.ts";
import { type IdempotencyStore, IdempotencyUnavailableError, retentionMs } from "../../idempotency/store.ts";
import { createFileGuard } from "../node/audit-file.ts";
import { migrateAuditFile } from "./audit-migrations.ts";
import { createCapacityShare } from "./capacity-share.ts";

const folders: string[] = [];
const databases: SqliteDatabase[] = [];

function newFile(): string {
  const folder = mkdtempSync(join(tmpdir(), "sends-"));
  folders.push(folder);
  return join(folder, "audit.sqlite");
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

describeIdempotencyStore(
  "in SQLite",
  { time: "monotonic", countsIds: true, isShared: true, runs: 200 },
  (clock, capacity) => {
    const database = open(":memory:");
    migrateAuditFile(database);
    const options = capacity === undefined ? {} : { capacity, share: createCapacityShare(database, clock, capacity) };
    const connect = (): IdempotencyStore => openSendStore(database, clock, options);
    return { store: connect(), connect };
  },
);

describe("the idempotency store in a SQLite file", () => {
  const clock = (startMs?: number): ReturnType<typeof createVirtualClock> => createVirtualClock(startMs);

  /** Opens the store as a process does. */
  function start(path: string, at: Pick<Clock, "now" | "monotonic">): IdempotencyStore {
    const database = open(path);
    const store = openSendStore(database, at, { guard: createFileGuard(path, () => performance.now()) });
    database.exec("PRAGMA busy_timeout = 10");
    return store;
  }

  function stop(): void {
    for (const database of databases.splice(0)) database.close();
  }

  function count(path: string, table: string): number {
    return Number(open(path).prepare(`SELECT count(*) AS count FROM ${table}`).get()?.["count"]);
  }

  test("ids, results and connections survive a restart, and a lease still ends on time", async () => {
    const [path, time] = [newFile(), clock()];
    const before = start(path, time);
    const [finished, lost] = [testReservation(["a"]), testReservation(["b"])];
    for (const reservation of [finished, lost]) await before.reserve(reservation);
    await before.settle(finished, testResult("a"));
    await time.advance(59_999);
    stop();
    const store = start(path, time);
    expect(await store.find(testScope, ["a", "b"])).toMatchObject([
      { id: "a", sendId: finished.sendId, state: { kind: "finished", result: testResult("a") } },
      { id: "b", sendId: lost.sendId, state: { kind: "in_progress" } },
    ]);
    await time.advance(1);
    expect(await store.find(testScope, ["b"])).toMatchObject([{ state: { kind: "unknown" } }]);
    expect(await store.findConnection("default", "connection-1")).toEqual(finished.connection);
  });

  test("if the clock was set back before a restart, ids, connections and leases keep their remaining lifetime", async () => {
    const [path, before] = [newFile(), clock(1_800_000_000_000)];
    const earlier = start(path, before);
    await earlier.reserve(testReservation(["a"], { connectionId: "c" }));
    await before.advance(20_000);
    await earlier.reserve(testReservation(["b"]));
    stop();
    const time = clock(1_700_000_000_000);
    const store = start(path, time);
    await time.advance(39_999);
    expect(await store.find(testScope, ["a"])).toMatchObject([{ state: { kind: "in_progress" } }]);
    await time.advance(1);
    expect(await store.find(testScope, ["a"])).toMatchObject([{ state: { kind: "unknown" } }]);
    await time.advance(retentionMs - 60_001);
    expect(await store.find(testScope, ["a", "b"])).toHaveLength(2);
    await time.advance(1);
    expect(await store.find(testScope, ["a", "b"])).toMatchObject([{ id: "b" }]);
    expect(await store.findConnection("default", "c")).toBeNull();
    expect(await store.findConnection("default", "connection-1")).not.toBeNull();
  });

  test("a process that starts after the clock was set back shares all ids with the others, in both directions", async () => {
    const [path, early] = [newFile(), clock(1_800_000_000_000)];
    const first = start(path, early);
    await first.reserve(testReservation(["a"]));
    const late = clock(1_700_000_000_000);
    const second = start(path, late);
    await second.reserve(testReservation(["b"]));
    for (const time of [early, late]) await time.advance(retentionMs - 1);
    for (const store of [first, second]) expect(await store.find(testScope, ["a", "b"])).toHaveLength(2);
    for (const time of [early, late]) await time.advance(1);
    for (const store of [first, second]) expect(await store.find(testScope, ["a", "b"])).toEqual([]);
  });

  test("moving the wall clock by a day in either direction forgets nothing and ends no lease", async () => {
    const time = clock();
    const store = start(newFile(), time);
    const finished = testReservation(["a"]);
    await store.reserve(finished);
    await store.reserve(testReservation(["b"]));
    await store.settle(finished, testResult("a"));
    for (const jumpMs of [retentionMs, -2 * retentionMs]) {
      time.shiftWallTime(jumpMs);
      expect(await store.find(testScope, ["a", "b"])).toMatchObject([
        { state: { kind: "finished" } },
        { state: { kind: "in_progress" } },
      ]);
    }
  });

  test("exactly one of 100 reservations of one id through four connections succeeds", async () => {
    const [path, time] = [newFile(), clock()];
    const stores = Array.from({ length: 4 }, () => start(path, time));
    const outcomes = await Promise.all(
      Array.from({ length: 100 }, async (_, index) => stores[index % 4]?.reserve(testReservation(["shared"]))),
    );
    expect(outcomes.filter((outcome) => outcome?.kind === "reserved")).toHaveLength(1);
  });

  test("a call waits for a file that another process holds without blocking the event loop for 50 ms", async () => {
    const [path, time] = [newFile(), clock()];
    const store = start(path, time);
    const holder = open(path);

    /** Returns the longest time in which no timer ran, while a reservation waited. */
    async function longestGap(): Promise<number> {
      holder.exec("BEGIN EXCLUSIVE");
      let reserved = false;
      const reserving = store.reserve(testReservation([`${performance.now()}`])).finally(() => (reserved = true));
      const startedAt = performance.now();
      let [last, longestMs] = [startedAt, 0];
      while (last - startedAt < 200) {
        await new Promise((resolve) => void setTimeout(resolve, 1));
        longestMs = Math.max(longestMs, performance.now() - last);
        last = performance.now();
      }
      expect(reserved).toBe(false);
      holder.exec("COMMIT");
      expect(await reserving).toEqual({ kind: "reserved" });
      return longestMs;
    }

    // A busy machine only adds to a measurement, so the smallest one counts.
    const gaps = [await longestGap(), await longestGap(), await longestGap()];
    expect(Math.min(...gaps)).toBeLessThan(50);
  });

  test("a call rejects with a typed error when another process holds the file for too long, and reserves nothing", async () => {
    const path = newFile();
    const database = open(path);
    let now = 0;
    const guard = createFileGuard(path, () => (now += 2_000));
    const store = openSendStore(database, clock(), { guard });
    database.exec("PRAGMA busy_timeout = 0");
    const holder = open(path);
    holder.exec("BEGIN EXCLUSIVE");
    const reservation = testReservation(["a"]);
    const calls = [
      () => store.reserve(reservation),
      () => store.settle(reservation, testResult("a")),
      () => store.release(reservation),
    ];
    for (const call of calls) await expect(call()).rejects.toBeInstanceOf(IdempotencyUnavailableError);
    holder.exec("COMMIT");
    expect(await store.find(testScope, ["a"])).toEqual([]);
  });

  test("a reservation that fails halfway leaves nothing behind", async () => {
    const path = newFile();
    const store = start(path, clock());
    const vandal = open(path);
    vandal.exec(`CREATE TRIGGER fail BEFORE INSERT ON send_ids WHEN NEW.key LIKE '%third%'
      BEGIN SELECT RAISE(ABORT, 'disk full'); END`);
    const failure = await store.reserve(testReservation(["first", "second", "third"])).catch((cause: unknown) => cause);
    expect(failure).toBeInstanceOf(IdempotencyUnavailableError);
    expect(["send_ids", "send_attempts", "send_connections"].map((table) => count(path, table))).toEqual([0, 0, 0]);
    vandal.exec("DROP TRIGGER fail");
    expect(await store.reserve(testReservation(["first"]))).toEqual({ kind: "reserved" });
  });

  test("after kill -9 no confirmed id is missing, and the counts are right", async () => {
    const path = newFile();
    const worker = join(import.meta.dirname, "../../../test/support/reserve-in-process.ts");
    let confirmed = "";
    for (const wanted of [/settled 20\n/, /settled 200\n/]) {
      const child = launchProcess({ command: process.execPath, args: [worker, path] });
      await child.waitForOutput(wanted);
      await child.stop("SIGKILL");
      confirmed += child.standardOutput();
    }
    const store = start(path, systemClock);
    const idsOf = (what: string): string[] =>
      [...confirmed.matchAll(new RegExp(`^${what} (\\d+)\n`, "gm"))].map(([, id = ""]) => id);
    const found = new Map((await store.find(testScope, idsOf("reserved"))).map((entry) => [entry.id, entry.state]));
    expect(idsOf("reserved").filter((id) => !found.has(id))).toEqual([]);
    expect(idsOf("settled").length).toBeGreaterThan(20);
    for (const id of idsOf("settled")) expect(found.get(id)).toEqual({ kind: "finished", result: testResult(id) });
    const counts = open(path).prepare("SELECT ids FROM send_counts").get();
    expect(counts?.["ids"]).toBe(count(path, "send_ids"));
  });

  test("the mark of a released send counts as an id, and is removed after 24 hours", async () => {
    const [path, time] = [newFile(), clock()];
    const store = start(path, time);
    const counts = (): unknown => ({
      stored: [count(path, "send_ids"), count(path, "send_attempts")],
      ...open(path).prepare("SELECT ids FROM send_counts").get(),
    });
    await store.release(testReservation(["a", "b"]));
    expect(counts()).toEqual({ stored: [1, 1], ids: 1 });
    await time.advance(retentionMs);
    await store.reserve(testReservation(["c", "d"]));
    expect(counts()).toEqual({ stored: [2, 1], ids: 2 });
  });

  test("expired sends and connections are removed by later reservations, a bounded number by each", async () => {
    const [path, time] = [newFile(), clock()];
    const store = start(path, time);
    for (let index = 0; index < 150; index++) {
      await store.reserve(testReservation([`a ${index}`, `b ${index}`], { connectionId: `${index}` }));
    }
    await time.advance(retentionMs);
    const left: number[] = [];
    for (let index = 0; index < 3; index++) {
      await store.reserve(testReservation([`new ${index}`], { connectionId: "new" }));
      left.push(count(path, "send_ids"));
    }
    expect(left).toEqual([173, 46, 3]);
    expect([count(path, "send_attempts"), count(path, "send_connections")]).toEqual([3, 1]);
    const counts = open(path).prepare("SELECT ids, connections FROM send_counts").get();
    expect({ ...counts }).toEqual({ ids: 3, connections: 1 });
  });
});
