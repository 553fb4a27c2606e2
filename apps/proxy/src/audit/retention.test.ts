import { createGroupCommit } from "@letta-environments/platform";
import { createVirtualClock, type VirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { createSqliteAuditRetention } from "../adapters/sqlite/audit-store.ts";
import { createTestAudit, finishedSend, type TestAudit, testSealing } from "../../test/support/test-audit.ts";
import { dropOldRecords, retentionNow, type RetentionResult } from "./retention.ts";

interface World {
  readonly clock: VirtualClock;
  readonly audit: TestAudit;
  drop(before: number): Promise<RetentionResult>;
}

function createWorld(): World {
  const clock = createVirtualClock();
  const audit = createTestAudit(clock);
  const transactions = createGroupCommit(audit.database, { defer: queueMicrotask });
  return {
    clock,
    audit,
    drop: (before) => dropOldRecords(createSqliteAuditRetention(audit.database), transactions, testSealing, before),
  };
}

/** An ended chain of five records, then one that goes on: three old records, and two young ones. Returns the time between. */
async function fill({ clock, audit }: World): Promise<number> {
  const ended = await audit.openWriter("ended");
  for (let index = 0; index < 3; index++) await ended.append(finishedSend(`e-${index}`));
  await ended.close();
  const running = await audit.openWriter("running");
  for (let index = 0; index < 2; index++) await running.append(finishedSend(`r-${index}`));
  await clock.advance(60_000);
  const between = clock.now();
  await clock.advance(60_000);
  for (let index = 2; index < 4; index++) await running.append(finishedSend(`r-${index}`));
  return between;
}

test("old chains are deleted completely, running ones up to the last old record, and the remaining log still verifies", async () => {
  const world = createWorld();
  const between = await fill(world);
  const before = await world.audit.verify();
  expect(await world.drop(between)).toEqual({ records: 8, chains: 2, damaged: null });
  const report = await world.audit.verify(new Map(before.chains.map((chain) => [chain.writer, chain])));
  expect(report).toMatchObject({ intact: true, records: 2, findings: [] });
  expect(report.chains).toEqual(before.chains);
  expect(await world.drop(between)).toEqual({ records: 0, chains: 0, damaged: null });
});

test("a retention pass ends with the batch that reaches its limit, and the next pass continues there", async () => {
  const world = createWorld();
  for (const name of ["a", "b", "c"]) {
    const log = await world.audit.openWriter(name);
    for (let index = 0; index < 250; index++) await log.append(finishedSend(`${name}-${index}`));
  }
  await world.clock.advance(1);
  const retention = createSqliteAuditRetention(world.audit.database, 2);
  const transactions = createGroupCommit(world.audit.database, { defer: queueMicrotask });
  const drop = (maxRecords: number) =>
    dropOldRecords(retention, transactions, testSealing, world.clock.now(), maxRecords);
  expect(await drop(100)).toEqual({ records: 200, chains: 1, damaged: null });
  expect(await drop(1_000)).toEqual({ records: 302, chains: 2, damaged: null });
  expect(await world.audit.verify()).toMatchObject({ intact: true, records: 251 });
  expect(await drop(1_000)).toEqual({ records: 251, chains: 1, damaged: null });
  expect(retention.heads()).toEqual([]);
});

test("retention reads only chains that have records left, however many were dropped", () => {
  const { audit } = createWorld();
  const statements: string[] = [];
  const prepare = (sql: string) => {
    statements.push(sql);
    return audit.database.prepare(sql);
  };
  createSqliteAuditRetention({ ...audit.database, prepare });
  const plan = audit.database.prepare(`EXPLAIN QUERY PLAN ${statements[0]}`).all(20);
  const details = plan.map(({ detail }) => String(detail));
  expect(details).toContainEqual(expect.stringContaining("SEARCH audit_heads"));
  expect(details.filter((detail) => /SCAN audit_/.test(detail))).toEqual([]);
});

test("a chain continues after its records were dropped, and later chains may note its end", async () => {
  const world = createWorld();
  const log = await world.audit.openWriter("a");
  await world.clock.advance(1_000);
  await world.drop(world.clock.now());
  for (let index = 0; index < 500; index++) await log.append(finishedSend(`s-${index}`));
  await world.audit.openWriter("b");
  expect(await world.audit.verify()).toMatchObject({ intact: true, records: 501 });
  await world.clock.advance(1_000);
  expect(await world.drop(world.clock.now())).toMatchObject({ records: 501, chains: 2 });
  expect(await world.audit.verify()).toMatchObject({ intact: true, records: 0 });
});

test.each([
  ["a checkpoint that was moved", "UPDATE audit_dropped SET sequence = 4 WHERE writer = 'running'", "dropped_forged"],
  ["a removed checkpoint", "DELETE FROM audit_dropped WHERE writer = 'running'", "record_missing"],
  ["a removed checkpoint of a whole chain", "DELETE FROM audit_dropped WHERE writer = 'ended'", "tail_cut"],
  ["a truncated end after a checkpoint", "DELETE FROM audit_records WHERE sequence = 5", "tail_cut"],
  ["an edit after a checkpoint", "UPDATE audit_records SET text = text || ' ' WHERE sequence = 4", "record_edited"],
  ["a removed head", "DELETE FROM audit_heads WHERE writer = 'ended'", "head_missing"],
])("the retention check finds %s", async (_name, sql, fault) => {
  const world = createWorld();
  await world.drop(await fill(world));
  world.audit.database.exec(`DROP TRIGGER audit_record_changed; DROP TRIGGER audit_record_deleted; ${sql}`);
  expect((await world.audit.verify()).findings.map((finding) => finding.fault)).toContain(fault);
});

test("retention seals no checkpoint over records that were edited", async () => {
  const world = createWorld();
  const between = await fill(world);
  world.audit.database.exec(
    "DROP TRIGGER audit_record_changed; UPDATE audit_records SET text = replace(text, '200', '201') WHERE writer = 'ended' AND sequence = 3",
  );
  expect(await world.drop(between)).toEqual({ records: 0, chains: 0, damaged: "ended" });
  expect((await world.audit.verify()).findings.map(({ fault }) => fault)).toEqual(["record_edited"]);
});

test("nothing but retention can delete records by mistake", async () => {
  const world = createWorld();
  await world.drop(await fill(world));
  expect(() => world.audit.database.exec("DELETE FROM audit_records")).toThrow("retention alone");
});

test("a clock that jumps ahead does not age records: age counts from the newest record by monotonic time", () => {
  const [year, hour] = [31_536_000_000, 3_600_000];
  const newest = 1_700_000_000_000;
  expect(retentionNow({ nowMs: newest + 10 * year, newestMs: newest, elapsedMs: hour })).toBe(newest + hour);
  expect(retentionNow({ nowMs: newest + hour, newestMs: newest, elapsedMs: hour })).toBe(newest + hour);
  // Records of a clock that was ahead before.
  expect(retentionNow({ nowMs: newest, newestMs: newest + year, elapsedMs: hour })).toBe(newest);
});
