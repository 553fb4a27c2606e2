import { expect, test } from "vitest";
import { type AuditQuery, type AuditTail, searchAudit } from "./search.ts";

type Entry = Readonly<Record<string, unknown>> & { readonly time: number; readonly type: string };

const everything: AuditQuery = {
  limit: 50,
  before: undefined,
  key: undefined,
  device: undefined,
  event: undefined,
  outcome: undefined,
};

/** Chains in memory, the newest first. */
function tailOf(chains: Readonly<Record<string, readonly Entry[]>>): AuditTail {
  return {
    writers: () => Object.entries(chains).map(([writer, entries]) => ({ writer, sequence: entries.length })),
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

test("records of several writers come latest first, and a send is one record with its outcome", () => {
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

test("an administrator of a tenant finds the records of that tenant alone", () => {
  const tail = tailOf({ w: [send(1, "s1"), send(2, "s2", { tenant: "other" }), { time: 3, type: "writer_closed" }] });
  expect(timesOf(tail, {}, "default")).toEqual([1]);
  expect(timesOf(tail, {}, "other")).toEqual([2]);
});

test("filters select by key, also the one that acted, by device, event and outcome", () => {
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

test("pages continue behind each other: nothing is missing and nothing comes twice, also at equal times", () => {
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

test("a damaged record is shown as unreadable, to the operator alone", () => {
  const tail: AuditTail = {
    writers: () => [{ writer: "w", sequence: 1 }],
    page: () => [{ sequence: 1, text: "{" }],
  };
  expect(searchAudit(tail, everything, null).records).toMatchObject([{ type: "unreadable", time: 0 }]);
  expect(searchAudit(tail, everything, "default").records).toEqual([]);
});
