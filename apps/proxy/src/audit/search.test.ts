import { openSqlite } from "@letta-environments/platform/node";
import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { createTestAudit, finishedSend } from "../../test/support/test-audit.ts";
import { createSqliteAuditStore } from "../adapters/sqlite/audit-store.ts";
import { type AuditQuery, type AuditTail, namesGatewayKey, searchAudit, searchInTurns } from "./search.ts";

type Entry = Readonly<Record<string, unknown>> & { readonly time: number; readonly type: string };

const everything: AuditQuery = { limit: 50 };

/** Chains in memory, the newest first. */
function tailOf(chains: Readonly<Record<string, readonly Entry[]>>): AuditTail {
  return {
    writers: () =>
      Object.entries(chains).map(([writer, entries]) => ({
        writer,
        sequence: entries.length,
        firstTime: entries[0]?.time ?? 0,
        lastTime: entries.at(-1)?.time ?? 0,
      })),
    page: (writer, sequence, limit) =>
      (chains[writer] ?? [])
        .map((entry, index) => ({ sequence: index + 1, text: JSON.stringify(entry) }))
        .slice(Math.max(0, sequence - limit), sequence)
        .toReversed(),
  };
}

const send = (time: number, id: string, members: object = {}): Entry => ({
  time,
  type: "send_started",
  sendId: id,
  keyId: "k1",
  deviceId: "d1",
  tenant: "default",
  ...members,
});
const finished = (time: number, id: string, status: number, code: string | null = null): Entry => ({
  time,
  type: "send_finished",
  sendId: id,
  status,
  code,
});
const timesOf = (tail: AuditTail, query: Partial<AuditQuery> = {}, tenant: string | null = null) =>
  searchAudit(tail, { ...everything, ...query }, tenant).records.map(({ time }) => time);

test("records of several writers are listed latest first, and a send is one record with its outcome", () => {
  const tail = tailOf({
    newer: [{ time: 20, type: "writer_opened" }, send(40, "s2"), finished(41, "s2", 504, "delivery_unknown")],
    older: [{ time: 10, type: "writer_opened" }, send(30, "s1"), finished(50, "s1", 200), send(60, "s3")],
  });
  const { records, cursor } = searchAudit(tail, everything, null);
  expect(records.map(({ time, type, outcome }) => `${time} ${type} ${outcome}`)).toEqual([
    "60 send_started null",
    "40 send_started unknown",
    "30 send_started ok",
    "20 writer_opened null",
    "10 writer_opened null",
  ]);
  expect(cursor).toBeNull();
});

test("a change is its result; a start without a result stays visible", () => {
  const change = (time: number, type: string, keyId: string): Entry => ({ time, type, keyId, tenant: "default" });
  const tail = tailOf({
    w: [change(1, "key_change_started", "k1"), change(2, "key_changed", "k1"), change(3, "key_change_started", "k2")],
  });
  expect(timesOf(tail)).toEqual([3, 2]);
});

const deviceChange = (time: number, type: string, keyId: string, tenant: string): Entry => {
  const actor = { kind: "key", keyId, tenant };
  return { time, type: `device_change${type}`, actor, tenant, deviceId: "box", act: "removed" };
};

test("a change without a result stays visible beside the change of a device with the same id in another tenant", () => {
  const w = [
    deviceChange(1, "_started", "k2", "t2"),
    deviceChange(2, "_started", "k1", "t1"),
    deviceChange(3, "d", "k2", "t2"),
  ];
  expect(timesOf(tailOf({ w }), {}, "t1")).toEqual([2]);
  expect(timesOf(tailOf({ w }), {}, "t2")).toEqual([3]);
  expect(timesOf(tailOf({ w }), {}, null)).toEqual([3, 2]);
  expect(timesOf(tailOf({ w }), { before: 3 }, "t1")).toEqual([2]);
});

test("a change without a result stays visible beside one of another key or another process, and neither of two changes hides the other", () => {
  const started = (time: number, keyId = "k1") => deviceChange(time, "_started", keyId, "t1");
  const changed = (time: number, keyId = "k1") => deviceChange(time, "d", keyId, "t1");
  const timesIn = (chains: Readonly<Record<string, readonly Entry[]>>) => timesOf(tailOf(chains), {}, "t1");
  expect(timesIn({ w: [started(1, "k2"), started(2), changed(3, "k2")] })).toEqual([3, 2]);
  expect(timesIn({ w: [started(2)], other: [started(1), changed(3)] })).toEqual([3, 2]);
  expect(timesIn({ w: [started(1), started(2), changed(3), changed(4)] })).toEqual([4, 3]);
  expect(timesIn({ w: [started(1), started(2), changed(3)] })).toEqual([3, 1]);
});

test("an administrator of a tenant finds only the records of that tenant", () => {
  const tail = tailOf({ w: [send(1, "s1"), send(2, "s2", { tenant: "other" }), { time: 3, type: "writer_closed" }] });
  expect(timesOf(tail, {}, "default")).toEqual([1]);
  expect(timesOf(tail, {}, "other")).toEqual([2]);
});

test("filters select by key, acting key, device, event and outcome", () => {
  const actor = { kind: "key", keyId: "k1" };
  const tail = tailOf({
    w: [
      send(1, "s1"),
      finished(2, "s1", 409),
      send(3, "s2", { keyId: "k2", deviceId: "d2" }),
      { time: 4, type: "key_changed", keyId: "k3", act: "created", actor, tenant: "default" },
    ],
  });
  expect(timesOf(tail, { key: "k1" })).toEqual([4, 1]);
  expect(timesOf(tail, { device: "d2" })).toEqual([3]);
  expect(timesOf(tail, { event: "send" })).toEqual([3, 1]);
  expect(timesOf(tail, { outcome: "failed" })).toEqual([1]);
});

test("consecutive pages neither miss nor repeat a record, even at equal times", () => {
  const chains = {
    a: Array.from({ length: 150 }, (_, index) => send(Math.floor(index / 3), `a${index}`)),
    b: Array.from({ length: 130 }, (_, index) => send(Math.floor(index / 2), `b${index}`)),
  };
  const tail = tailOf(chains);
  const seen: string[] = [];
  let before: number | undefined;
  for (let pages = 0; pages < 100; pages++) {
    const { records, cursor } = searchAudit(tail, { ...everything, limit: 10, before }, null);
    seen.push(...records.map(({ writer, sequence }) => `${writer} ${sequence}`));
    if (cursor === null) break;
    before = cursor;
  }
  expect(seen).toHaveLength(280);
  expect(new Set(seen).size).toBe(280);
});

test("a search reads a bounded number of records, and says where the next one continues", () => {
  let read = 0;
  const tail = tailOf({ w: Array.from({ length: 5_000 }, (_, index) => send(index, `s${index}`)) });
  const counting: AuditTail = {
    ...tail,
    page(writer, sequence, limit) {
      const page = tail.page(writer, sequence, limit);
      read += page.length;
      return page;
    },
  };
  const { records, cursor } = searchAudit(counting, { ...everything, key: "nobody" }, null);
  expect(records).toEqual([]);
  expect(read).toBeLessThan(2_200);
  expect(cursor).toBeGreaterThan(0);
});

/** Every record that a search finds, in pages of `limit`. */
function pagesOf(tail: AuditTail, query: Partial<AuditQuery>): string[] {
  const found: string[] = [];
  for (let before: number | undefined; ;) {
    const { records, cursor } = searchAudit(tail, { ...everything, ...query, before }, null);
    found.push(...records.map(({ time, type, outcome }) => `${time} ${type} ${outcome}`));
    if (cursor === null) return found;
    before = cursor;
  }
}

test("a record has its outcome on every page, and can be filtered by it, even if its end is on the previous page", () => {
  const change = (time: number, type: string): Entry => ({ time, type, keyId: "k1", tenant: "default" });
  const tail = tailOf({
    a: [send(1, "s1"), send(2, "s2"), finished(3, "s1", 403, "refused"), finished(4, "s2", 200), send(7, "s3")],
    b: [change(1.5, "key_change_started"), change(5, "key_changed"), change(6, "writer_closed")],
  });
  const all = searchAudit(tail, everything, null).records;
  expect(all).toHaveLength(5);
  expect(pagesOf(tail, { limit: 1 })).toEqual(all.map(({ time, type, outcome }) => `${time} ${type} ${outcome}`));
  expect(pagesOf(tail, { limit: 1, outcome: "failed" })).toEqual(["1 send_started failed"]);
});

test("the end of a send is found among the 2,000 records after the cursor, and other work runs meanwhile", () => {
  const searchBehind = (count: number) => {
    const later = Array.from({ length: count - 1 }, (_, index) => ({ time: 2 + index, type: "writer_opened" }));
    const w = [send(1, "s1"), ...later, finished(count + 1, "s1", 200)];
    return searchInTurns(tailOf({ w }), { ...everything, before: 2 }, null);
  };
  const outcomeBehind = (count: number) => {
    const search = searchBehind(count);
    let step = search.next();
    for (; step.done !== true; step = search.next());
    return step.value.records[0]?.outcome;
  };
  expect([101, 2_000, 2_001].map(outcomeBehind)).toEqual(["ok", "ok", null]);
  expect([...searchBehind(1_200)]).toHaveLength(2);
});

test("the records of a gateway that runs long are found behind any number of later writers", () => {
  const later = Array.from({ length: 3_000 }, (_, index) => [`w${index}`, [{ time: index, type: "writer_opened" }]]);
  const tail = tailOf({ ...(Object.fromEntries(later) as Record<string, Entry[]>), gateway: [send(5_000, "s1")] });
  expect(timesOf(tail, { key: "k1" })).toEqual([5_000]);
});

test.each([undefined, 500_000, 100_500])("a search before %s reads only the chains that it needs", (before) => {
  const chain = (start: number) => Array.from({ length: 200 }, (_, index) => send(start + index, `${start} ${index}`));
  const tail = tailOf(
    Object.fromEntries(Array.from({ length: 1_000 }, (_, index) => [`w${index}`, chain(index * 1_000)])),
  );
  const read: string[] = [];
  const page: AuditTail["page"] = (writer, ...rest) => (read.push(writer), tail.page(writer, ...rest));
  const { records } = searchAudit({ ...tail, page }, { ...everything, before }, null);
  expect(records).toHaveLength(50);
  expect(new Set(read).size).toBeLessThan(3);
});

test("a chain whose first records were dropped is found on every page", () => {
  const tail = tailOf({ w: Array.from({ length: 100 }, (_, index) => send(index, `s${index}`)) });
  const page: AuditTail["page"] = (...of) => tail.page(...of).filter(({ sequence }) => sequence > 90);
  expect(pagesOf({ ...tail, page }, { limit: 2 })).toHaveLength(10);
});

test("a damaged record is shown as unreadable, and only to the operator", () => {
  const tail: AuditTail = {
    writers: () => [{ writer: "w", sequence: 1, firstTime: 0, lastTime: 0 }],
    page: () => [{ sequence: 1, text: "{" }],
  };
  expect(searchAudit(tail, everything, null).records).toMatchObject([{ type: "unreadable", time: 0 }]);
  expect(searchAudit(tail, everything, "default").records).toEqual([]);
});

test("a damaged record hides none of the records before it, on every page, and is on one page", () => {
  const tail = tailOf({ w: [1, 2, 3, 4, 5].map((time) => send(time, `s${time}`)), other: [send(2.5, "s6")] });
  const page: AuditTail["page"] = (...of) =>
    tail.page(...of).map((row) => (row.text.includes('"s4"') ? { ...row, text: "{" } : row));
  const all = [
    "5 send_started null",
    "0 unreadable null",
    ...[3, 2.5, 2, 1].map((time) => `${time} send_started null`),
  ];
  for (const limit of [1, 2, 3, 50]) expect(pagesOf({ ...tail, page }, { limit })).toEqual(all);
});

test("the stored log of several writers is searched, even after it has grown", async () => {
  const clock = createVirtualClock();
  const { store, openWriter } = createTestAudit(clock);
  const start = clock.now();
  const logs = [await openWriter("a"), await openWriter("b")];
  const found = () =>
    searchAudit(store.tail, everything, null).records.map(({ writer, time }) => [writer, time - start]);
  expect(found()).toHaveLength(2);
  for (const log of logs) {
    await clock.advance(1_000);
    await log.append(finishedSend("s1"));
    await log.close();
  }
  expect(found().slice(0, 2)).toEqual([
    ["b", 2_000],
    ["a", 1_000],
  ]);
});

test("records name a gateway key if one was changed or used; those of tokens, of callers' own keys and of changes that were not made do not", () => {
  const changed = { time: 1, type: "key_changed", keyId: "0aB1cD2eF3gH", act: "created" };
  const names = (...entries: readonly Entry[]): boolean => namesGatewayKey(tailOf({ w: entries }));
  expect(names({ time: 0, type: "writer_opened" }, changed)).toBe(true);
  expect(names(send(1, "s1", { keyId: "0aB1cD2eF3gH" }), finished(2, "s1", 200))).toBe(true);
  expect(names()).toBe(false);
  expect(names({ time: 0, type: "writer_opened" }, { ...changed, type: "key_change_abandoned" })).toBe(false);
  for (const keyId of ["jwt:0123456789abcdef0123456789abcdef", "passthrough:0123456789abcdef0123456789abcdef"]) {
    expect(names(send(1, "s1", { keyId }), finished(2, "s1", 200))).toBe(false);
  }
});

test("a gateway key is found behind long records", () => {
  const long = Array.from({ length: 5 }, (_, time) =>
    send(time, `s${time}`, { keyId: "jwt:1", more: "a".repeat(300_000) }),
  );
  expect(namesGatewayKey(tailOf({ w: [send(0, "s", { keyId: "0aB1cD2eF3gH" }), ...long] }))).toBe(true);
});

test("a search of long records lets other work run, ends a page after 512 Ki characters, and the next page continues", () => {
  const long = Array.from({ length: 9 }, (_, index) => send(index, `s${index}`, { more: "a".repeat(300_000) }));
  const tail = tailOf({ w: long });
  const turnsOf = (query: Partial<AuditQuery>): number =>
    [...searchInTurns(tail, { ...everything, ...query }, null)].length;
  expect([turnsOf({}), turnsOf({ key: "nobody" })]).toEqual([1, 4]);
  expect(searchAudit(tail, everything, null)).toMatchObject({ records: { length: 2 }, cursor: 7 });
  expect(pagesOf(tail, {})).toHaveLength(9);
});

test("the store reads at most 512 Ki characters for a page of a chain, and at least one record", async () => {
  const database = openSqlite(":memory:");
  const { tail } = createSqliteAuditStore(database);
  const insert = database.prepare("INSERT INTO audit_records (writer, sequence, text, hash) VALUES ('w', ?, ?, '')");
  for (const [index, length] of [600_000, 300_000, 300_000, 300_000].entries())
    insert.run(index + 1, "a".repeat(length));
  const sequencesFrom = (from: number): number[] => tail.page("w", from, 50).map(({ sequence }) => sequence);
  expect([sequencesFrom(4), sequencesFrom(2), sequencesFrom(1)]).toEqual([[4, 3], [2, 1], [1]]);
  database.close();
});
