import { choosePaint, displayWidth } from "@letta-environments/command-line";
import { expect, test } from "vitest";
import { findLatest } from "../src/commands/audit-latest.ts";
import { type AuditFacts, type AuditFilter, factsOf } from "../src/audit/reader.ts";
import { formatAuditTable } from "../src/commands/audit-text.ts";
import { createKey } from "../src/keys/key-lifecycle.ts";
import { unrestricted } from "../src/keys/key-record.ts";
import { testMint } from "./support/test-proxy.ts";

const plain = choosePaint(false, () => undefined);
const records = [
  { time: 1_000, type: "writer_opened" },
  { time: 2_000, type: "key_changed", keyId: "k1", act: "revoked", members: {} },
  { time: 3_000, type: "send_started", sendId: "s1", keyId: "k1", deviceId: "d1", messageIds: ["m1"] },
  { time: 4_000, type: "send_finished", sendId: "s1", status: 200, code: null },
  { time: 5_000, type: "send_started", sendId: "s2", keyId: "k2", deviceId: "d2", messageIds: ["m2"] },
  { time: 6_000, type: "send_finished", sendId: "s2", status: 504, code: "delivery_unknown" },
  { time: 7_000, type: "send_refused", keyId: "k2", deviceId: null, status: 403, code: "insufficient_scope" },
  { time: 8_000, type: "key_change_abandoned", keyId: "k3" },
].map((record, index) => JSON.stringify({ writer: "w", sequence: index + 1, ...record }));

/** The facts of the records that a filter selects, from a log with one chain. */
function listOf(texts: readonly string[], filter: AuditFilter): readonly AuditFacts[] {
  const rows = texts.map((text, index) => ({ sequence: index + 1, text }));
  const tail = {
    writers: () => [{ writer: "w", sequence: rows.length, firstTime: 1_000, lastTime: 8_000 }],
    page: (_: string, sequence: number, limit: number) => rows.slice(0, sequence).slice(-limit).toReversed(),
  };
  return findLatest(tail, filter, 50).map(({ facts }) => facts);
}

test.each([
  [{}, [1, 2, 3, 4, 5, 6, 7, 8]],
  [{ since: 3_000, until: 5_000 }, [3, 4]],
  [{ keyId: "k1" }, [2, 3, 4]],
  [{ deviceId: "d2" }, [5, 6]],
  [{ events: ["send"] }, [3, 4, 5, 6, 7]],
  [{ events: ["send_finished", "writer_opened"] }, [1, 4, 6]],
  [{ events: ["key"] }, [2, 8]],
  [{ actions: ["revoked", "created"] }, [2]],
  [{ outcome: "ok" }, [2, 4]],
  [{ outcome: "unknown" }, [6]],
  [{ outcome: "refused" }, [7, 8]],
  [{ keyId: "k2", outcome: "refused" }, [7]],
])("the filter %j selects the records %j; the end of a send counts to its key and device", (filter, times) => {
  expect(listOf(records, filter).map(({ time }) => time / 1_000)).toEqual(times);
});

test("the details of a new key list only its restrictions; those of a change list everything that changed", () => {
  const { secrets: _secrets, ...created } = createKey(
    { ...unrestricted, name: "ci", owner: "ada", tenant: "default", scopes: ["list", "send"], maxMode: "standard" },
    1_000,
    testMint,
  ).record;
  const change = { type: "key_changed", actor: { kind: "start" }, keyId: created.id, tenant: "default" };
  const changes = [
    { ...change, act: "created", members: created },
    { ...change, act: "updated", members: { maxMode: null, shared: false, scopes: ["list"] } },
  ];
  const facts = changes.map((entry) => factsOf({ time: 1_000, ...entry }));
  const [, first, second] = formatAuditTable(facts, null, plain).split("\n");
  const start = `actor {"kind":"start"}  tenant default`;
  expect(first?.endsWith(`${start}  maxMode standard  name ci  owner ada  scopes ["list","send"]`)).toBe(true);
  expect(second?.endsWith(`${start}  maxMode null  shared false  scopes ["list"]`)).toBe(true);
});

test("the table has one line per record and fits the terminal", () => {
  const facts = listOf([...records, "no record"], {});
  const table = formatAuditTable(facts, null, plain).split("\n");
  expect(table[0]).toMatch(/^TIME +EVENT +OUTCOME +KEY +DEVICE +DETAILS$/);
  expect(table[2]).toMatch(/^1970-01-01T00:00:02.000Z {2}key revoked +ok +k1$/);
  expect(table[4]).toMatch(/^1970-01-01T00:00:04.000Z {2}send finished +ok +k1 +d1 +sendId s1 {2}status 200$/);
  expect(table[9]).toMatch(/^\? +unreadable$/);
  for (const line of formatAuditTable(facts, 90, plain).split("\n")) expect(displayWidth(line)).toBeLessThanOrEqual(90);
});
