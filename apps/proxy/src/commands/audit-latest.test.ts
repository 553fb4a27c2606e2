import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, test } from "vitest";
import { createTestAudit, finishedSend } from "../../test/support/test-audit.ts";
import { findLatest } from "./audit-latest.ts";
import type { AuditFilter } from "../audit/reader.ts";
import type { AuditTail } from "../audit/search.ts";

type Entry = Readonly<Record<string, unknown>> | null;

/** Chains in memory, the newest first; `null` is a damaged record. Counts the records that are read. */
function createTail(chains: Readonly<Record<string, readonly Entry[]>>) {
  let read = 0;
  const timeOf = (entry: Entry | undefined): number => Number(entry?.["time"] ?? 0);
  const tail: AuditTail = {
    writers: () =>
      Object.entries(chains).map(([writer, entries]) => {
        const lastTime = timeOf(entries.findLast((entry) => entry !== null));
        return { writer, sequence: entries.length, firstTime: timeOf(entries[0]), lastTime };
      }),
    page(writer, sequence, limit) {
      const entries = (chains[writer] ?? []).slice(0, sequence).slice(-limit);
      read += entries.length;
      return entries
        .map((entry, index) => ({ sequence: sequence - entries.length + 1 + index, text: textOf(entry) }))
        .toReversed();
    },
  };
  return { tail, read: () => read };
}

const textOf = (entry: Entry): string => (entry === null ? "{" : JSON.stringify(entry));

const send = (time: number, keyId: string): Entry => ({
  time,
  type: "send_started",
  sendId: `${keyId} ${time}`,
  keyId,
});
const finished = (time: number, keyId: string, startedAt: number): Entry => ({
  ...{ time, type: "send_finished", sendId: `${keyId} ${startedAt}`, status: 200, code: null },
});

/** Sends at the times 0, 10, 20, and so on. Each ends 25 later. Every hundredth is one of `rare`. */
const busy: readonly Entry[] = Array.from({ length: 5_000 }, (_, index) => {
  const keyOf = (number: number): string => (number % 100 === 0 ? "rare" : "often");
  const ended = index - 3;
  const end = ended < 0 ? [] : [finished(10 * ended + 25, keyOf(ended), 10 * ended)];
  return [...end, send(10 * index, keyOf(index))];
}).flat();

test.each<[string, AuditFilter, number]>([
  ["without a filter", {}, 60],
  ["since a time", { since: 10_000 }, 60],
  ["of a key", { keyId: "rare" }, 5_500],
])(
  "the latest records %s are found without reading the others, and ends have the keys of their starts",
  (_, filter, most) => {
    const { tail, read } = createTail({ busy });
    const found = findLatest(tail, filter, 50);
    const { since = 0, until = Number.POSITIVE_INFINITY, keyId } = filter;
    const expected = busy
      .filter((entry) => Number(entry?.["time"]) >= since && Number(entry?.["time"]) < until)
      .filter((entry) => keyId === undefined || String(entry?.["sendId"]).startsWith(keyId))
      .slice(-50);
    expect(found.map(({ text }) => text)).toEqual(expected.map(textOf));
    expect(found.filter(({ facts }) => !String(facts.members["sendId"]).startsWith(`${facts.keyId} `))).toEqual([]);
    expect(read()).toBeLessThan(most + 200);
  },
);

test("records of several writers are merged by time, and those of one writer keep their order", () => {
  const at = (time: number): Entry => ({ time, type: "writer_opened" });
  const { tail } = createTail({ b: [at(2), at(5), at(4)], a: [at(1), at(3), at(6)] });
  expect(findLatest(tail, {}, 50).map(({ facts }) => facts.time)).toEqual([1, 2, 3, 5, 4, 6]);
  expect(findLatest(tail, {}, 2).map(({ facts }) => facts.time)).toEqual([4, 6]);
});

test.each<[AuditFilter, number[]]>([
  [{}, [9_001, 9_002, 1, 2, 3, 8_001, 4, 5]],
  [{ until: 5_000 }, [1, 2, 3, 4, 5]],
  [{ since: 5_000 }, [9_001, 9_002, 8_001]],
  [{ since: 2, until: 5 }, [2, 3, 4]],
])("the filter %j finds all its records although the clock was set back", (filter, times) => {
  const { tail } = createTail({
    a: [9_001, 9_002, 1, 2, 3, 8_001, 4, 5].map((time) => ({ time, type: "writer_opened" })),
  });
  expect(findLatest(tail, filter, 50).map(({ facts }) => facts.time)).toEqual(times);
});

setFlagsFromString("--expose-gc");
const collectGarbage = runInNewContext("gc") as () => void;

test("a search for a key keeps no ends of other keys in memory", () => {
  const sequence = 100_000;
  const recordOf = (number: number): Entry =>
    number % 2 === 1 ? send(number, "often") : finished(number, "often", number - 1);
  let heapAtEnd = 0;
  const tail: AuditTail = {
    writers: () => [{ writer: "a", sequence, firstTime: 1, lastTime: sequence }],
    page(_, from, limit) {
      if (from <= limit) {
        collectGarbage();
        heapAtEnd = process.memoryUsage().heapUsed;
      }
      const length = Math.min(limit, from);
      return Array.from({ length }, (__, index) => ({ sequence: from - index, text: textOf(recordOf(from - index)) }));
    },
  };
  collectGarbage();
  const heapBefore = process.memoryUsage().heapUsed;
  expect(findLatest(tail, { keyId: "rare" }, 50)).toEqual([]);
  expect(heapAtEnd - heapBefore).toBeLessThan(5_000_000);
});

test("a damaged record is shown in its place, and hides none of the records before it", () => {
  const at = (time: number): Entry => ({ time, type: "writer_opened" });
  const { tail } = createTail({ b: [at(20), at(40), null, at(60), null], a: [at(10), at(30), at(50)] });
  const found = (filter: AuditFilter, limit = 50) =>
    findLatest(tail, filter, limit).map(({ facts }) => (facts.type === "unreadable" ? null : facts.time));
  expect(found({})).toEqual([10, 20, 30, 40, 50, null, 60, null]);
  expect(found({}, 5)).toEqual([40, 50, null, 60, null]);
  expect(found({ since: 35 })).toEqual([40, 50, 60]);
});

test("the records of a chain are listed even if its sealed end, its last record or a record between them was changed", async () => {
  const { database, store, openWriter } = createTestAudit();
  for (const writer of ["a", "b"]) {
    const log = await openWriter(writer);
    for (let number = 1; number <= 3; number++) await log.append(finishedSend(`${writer}${number}`));
    await log.close();
  }
  const listed = (): readonly unknown[] =>
    findLatest(store.tail, {}, 50).map(({ facts }) => facts.members["sendId"] ?? facts.type);
  const before = listed();
  expect(before).toHaveLength(10);
  database.exec("DROP TRIGGER audit_record_changed; DROP TRIGGER audit_record_deleted");
  database.exec("DELETE FROM audit_heads WHERE writer = 'a'; UPDATE audit_records SET text = '{' WHERE sequence = 5");
  expect(new Set(listed())).toEqual(new Set([...before.filter((what) => what !== "writer_closed"), "unreadable"]));
  database.exec("DELETE FROM audit_records WHERE sequence = 3");
  expect(listed()).toHaveLength(8);
});
