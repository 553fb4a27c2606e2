/** Retention in Durable Objects, through starts of the object; `test/cloudflare/contracts.test.ts` tests its SQL in workerd. */
import { openDurableSqlite } from "@letta-environments/platform/cloudflare";
import { constantTimeEqual, hmacSha256Hex, sha256Hex } from "@letta-environments/platform/node";
import { beforeEach, expect, test, vi } from "vitest";
import { createFakeContext, workersModule } from "../../../test/cloudflare/fake-isolate.ts";
import { testReservation, testResult } from "../../../test/support/test-reservation.ts";
import type { AuditEntry } from "../../audit/entry.ts";
import { type AuditReport, verifyAudit } from "../../audit/verify.ts";
import { retentionMs } from "../../idempotency/store.ts";
import { pepperOf } from "../../keys/pepper.ts";
import { createSqliteAuditChains, readDropped, readHead, readRecord } from "../sqlite/audit-store.ts";

vi.mock("cloudflare:workers", () => workersModule);
const { AuditObject } = await import("./audit-object.ts");
const { TenantObject } = await import("./tenant-object.ts");

const dayMs = 86_400_000;
const startMs = 1_800_000_000_000;
const KEY_PEPPER = "p".repeat(32);
const entry: AuditEntry = { type: "key_change_started", actor: { kind: "start" }, keyId: "k" };
const clock = { now: () => Date.now(), monotonic: () => Date.now() };

let log: string[];

beforeEach(() => {
  vi.useFakeTimers({ now: startMs, toFake: ["Date"] });
  log = [];
  const console = vi.spyOn(globalThis.console, "log").mockImplementation((line) => void log.push(String(line)));
  return () => {
    vi.useRealTimers();
    console.mockRestore();
  };
});

/** The storage of an object, which is started anew for each call, as after an eviction. */
function openStorage(PROXY_CONFIG: unknown = { audit: { retentionDays: 30 } }) {
  const context = createFakeContext();
  const { storage } = context;
  const bindings = { KEY_PEPPER, PROXY_CONFIG };
  const startSends = () => new TenantObject(context, bindings, { clock, capacity: 10 });
  const startAudit = () => new AuditObject(context, bindings);
  const database = openDurableSqlite(storage);
  const rows = (sql: string) => database.prepare(sql).all();
  return {
    startAudit,
    storage,
    async send(id: string): Promise<void> {
      const object = startSends();
      const reservation = testReservation([id]);
      await object.reserve(reservation, entry);
      const ended = await object.conclude({ stored: { reservation, result: testResult(id) }, entry, leases: [] });
      expect(ended).toEqual({ storeFailure: null, auditFailure: null });
    },
    /** Runs alarms when they are due, until `untilMs` or until none is set. */
    async ring(untilMs: number, start: () => { alarm(): Promise<void> } = startSends): Promise<void> {
      for (let atMs = await storage.getAlarm(); atMs !== null && atMs <= untilMs; atMs = await storage.getAlarm()) {
        vi.setSystemTime(Math.max(atMs, Date.now()));
        await (storage as typeof storage & { deleteAlarm(): Promise<void> }).deleteAlarm();
        await start().alarm();
      }
      vi.setSystemTime(untilMs);
    },
    rows,
    verify(): AuditReport {
      const heads = rows("SELECT * FROM audit_heads ORDER BY ordinal").map(readHead);
      const isMigrated = rows("SELECT 1 FROM sqlite_master WHERE name = 'audit_dropped'").length > 0;
      const dropped = isMigrated ? rows("SELECT * FROM audit_dropped").map(readDropped) : [];
      const records = rows("SELECT * FROM audit_records ORDER BY writer, sequence").map(readRecord);
      const hashAt = (writer: string, sequence: number): string | null =>
        records.find((record) => record.writer === writer && record.sequence === sequence)?.hash ?? null;
      const directory = createSqliteAuditChains(database).directory();
      const digests = { sha256: sha256Hex, hmacSha256: hmacSha256Hex, constantTimeEqual };
      const sealing = { digests, pepper: pepperOf(KEY_PEPPER, hmacSha256Hex) };
      return verifyAudit({ directory, heads, dropped, records, hashAt }, sealing);
    },
  };
}

test("the alarm of a tenant's object deletes old records, and the remaining log still verifies", async () => {
  const { send, ring, verify, rows } = openStorage();
  await send("a");
  await ring(startMs + 20 * dayMs);
  await send("b");
  expect(verify()).toMatchObject({ intact: true, records: 6 });
  await ring(startMs + 32 * dayMs);
  expect(verify()).toMatchObject({ intact: true, records: 3, findings: [] });
  expect(rows("SELECT count(*) AS chains FROM audit_heads")).toEqual([{ chains: 2 }]);
  expect(log.filter((line) => line.includes("audit_records_dropped"))).toEqual([
    expect.stringContaining('"records":3'),
  ]);
  await send("c");
  expect(verify()).toMatchObject({ intact: true, records: 6 });
});

test("a tenant's object is not woken again once no record is left, and its heads and checkpoints stay", async () => {
  const { send, ring, verify, storage } = openStorage('{"audit":{"retentionDays":1}}');
  await send("a");
  await ring(startMs + 9 * dayMs);
  expect(await storage.getAlarm()).toBeNull();
  expect(verify()).toMatchObject({ intact: true, records: 0, findings: [] });
  expect(verify().chains).toHaveLength(1);
});

test("many old chains are deleted in batches, one alarm after the other", async () => {
  const { send, ring, verify } = openStorage({ audit: { retentionDays: 1 } });
  for (let index = 0; index < 45; index++) {
    await send(`s-${index}`);
    vi.setSystemTime(Date.now() + retentionMs / 10);
  }
  await ring(Date.now() + 60_000);
  expect(log.filter((line) => line.includes("audit_records_dropped"))).toEqual([
    expect.stringContaining('"records":60,"chains":20'),
    expect.stringContaining('"records":48,"chains":16'),
  ]);
  expect(verify()).toMatchObject({ intact: true, records: 27, findings: [] });
});

test("without the retention setting, or with an invalid value, every record is kept", async () => {
  for (const config of [null, {}, "{", { audit: { retentionDays: 0 } }, { audit: { retentionDays: "1" } }]) {
    const { send, ring, verify, storage } = openStorage(config);
    await send("a");
    await ring(Date.now() + 400 * dayMs);
    expect(verify()).toMatchObject({ intact: true, records: 3 });
    expect(await storage.getAlarm()).toBeNull();
  }
});

test("a tenant's log that was changed stays as it is, and the log of the Worker says so", async () => {
  const { send, ring, rows, verify } = openStorage();
  await send("a");
  rows("DROP TRIGGER audit_record_changed");
  rows("UPDATE audit_records SET text = replace(text, 'key_change_started', 'key_change_stopped')");
  await ring(startMs + 40 * dayMs);
  expect(rows("SELECT count(*) AS count FROM audit_records")).toEqual([{ count: 3 }]);
  expect(verify().intact).toBe(false);
  expect(log.some((line) => line.includes("audit_failed") && line.includes("not intact"))).toBe(true);
});

test("the audit log of key changes deletes its old records in the same way", async () => {
  const { startAudit, ring, verify, storage } = openStorage();
  await startAudit().append(entry);
  await ring(startMs + 20 * dayMs, startAudit);
  await startAudit().append(entry);
  await ring(startMs + 32 * dayMs, startAudit);
  expect(verify()).toMatchObject({ intact: true, records: 2, findings: [] });
  await ring(startMs + 60 * dayMs, startAudit);
  expect(verify()).toMatchObject({ intact: true, records: 0 });
  expect(await storage.getAlarm()).toBeNull();
});
