import fc from "fast-check";
import { expect, test } from "vitest";
import { createTestAudit, finishedSend, type TestAudit, testSealing } from "../../test/support/test-audit.ts";
import { sealDirectory, sealHead } from "./chain.ts";
import { verifyAudit } from "./verify.ts";

/** A log of several writers, without the triggers that guard against mistakes. */
async function filled(lengths: readonly number[]): Promise<TestAudit> {
  const audit = createTestAudit();
  for (const [index, length] of lengths.entries()) {
    const log = await audit.openWriter(`writer-${index}`);
    for (let entry = 0; entry < length; entry++) await log.append(finishedSend(`send-${index}-${entry}`));
  }
  audit.database.exec("DROP TRIGGER audit_record_changed; DROP TRIGGER audit_record_deleted;");
  return audit;
}

async function faults(audit: TestAudit): Promise<string[]> {
  return (await audit.verify()).findings.map(({ fault }) => fault);
}

test("an untouched log of several writers is intact", async () => {
  const audit = await filled([3, 0, 700]);
  expect(await audit.verify()).toMatchObject({ intact: true, records: 706, findings: [] });
});

test("an emptied log is not intact, because every log has a directory as soon as it has a record", async () => {
  const audit = await filled([3, 2]);
  audit.database.exec("DELETE FROM audit_records; DELETE FROM audit_heads; DELETE FROM audit_directory");
  expect(await audit.verify()).toMatchObject({ intact: false, findings: [{ fault: "directory_missing" }] });
});

test.each([
  ["an edit", "UPDATE audit_records SET text = replace(text, '200', '201') WHERE sequence = 2", "record_edited"],
  ["an edit of the last record", "UPDATE audit_records SET text = text || ' ' WHERE sequence = 4", "record_edited"],
  ["a removed record", "DELETE FROM audit_records WHERE sequence = 2", "record_missing"],
  ["a removed first record", "DELETE FROM audit_records WHERE sequence = 1", "record_missing"],
  ["a truncated end", "DELETE FROM audit_records WHERE sequence >= 3", "tail_cut"],
  ["a chain without records", "DELETE FROM audit_records WHERE writer = 'writer-0'", "tail_cut"],
  ["a record after the end", "INSERT INTO audit_records VALUES ('writer-0', 5, '{}', 'x')", "tail_added"],
  ["records of an unknown writer", "INSERT INTO audit_records VALUES ('other', 1, '{}', 'x')", "head_missing"],
  ["a removed head", "DELETE FROM audit_heads WHERE writer = 'writer-0'", "head_missing"],
  ["a moved head", "UPDATE audit_heads SET sequence = 3 WHERE writer = 'writer-0'", "head_forged"],
  ["a removed directory", "DELETE FROM audit_directory", "directory_missing"],
  ["a lowered count of chains", "UPDATE audit_directory SET count = 1", "directory_forged"],
  ["a repeated number", "UPDATE audit_heads SET ordinal = 1", "head_forged"],
  [
    "the removal of the whole last chain",
    "DELETE FROM audit_records WHERE writer = 'writer-1'; DELETE FROM audit_heads WHERE writer = 'writer-1'",
    "chain_missing",
  ],
  [
    "the removal of the whole first chain",
    "DELETE FROM audit_records WHERE writer = 'writer-0'; DELETE FROM audit_heads WHERE writer = 'writer-0'",
    "chain_missing",
  ],
])("audit verification finds %s", async (_name, sql, fault) => {
  const audit = await filled([3, 2]);
  audit.database.exec(sql);
  expect(await faults(audit)).toContain(fault);
});

test("a head set back to an older sealed end is detected with an earlier report", async () => {
  const audit = createTestAudit();
  const log = await audit.openWriter("writer-0");
  const old = sealHead(log.checkpoint(), testSealing);
  await log.append(finishedSend("a"));
  const { chains } = await audit.verify();
  audit.database.exec("DROP TRIGGER audit_record_deleted; DELETE FROM audit_records WHERE sequence = 2");
  audit.database
    .prepare("UPDATE audit_heads SET sequence = ?, hash = ?, seal = ?")
    .run(old.sequence, old.hash, old.seal);
  // An attacker with a copy of the file can restore it. Only checkpoints stored elsewhere reveal that.
  expect(await faults(audit)).toEqual([]);
  const earlier = new Map(chains.map(({ writer, sequence, hash }) => [writer, { sequence, hash }]));
  expect((await audit.verify(earlier)).findings).toEqual([
    { fault: "report_contradicted", writer: "writer-0", sequence: 2 },
  ]);
});

test("a head set back to an older sealed end is detected once a later chain has noted the newer end", async () => {
  const audit = createTestAudit();
  const log = await audit.openWriter("writer-0");
  const old = sealHead(log.checkpoint(), testSealing);
  await log.append(finishedSend("a"));
  await audit.openWriter("writer-1");
  audit.database.exec(
    "DROP TRIGGER audit_record_deleted; DELETE FROM audit_records WHERE writer = 'writer-0' AND sequence = 2",
  );
  audit.database
    .prepare("UPDATE audit_heads SET sequence = ?, hash = ?, seal = ? WHERE writer = 'writer-0'")
    .run(old.sequence, old.hash, old.seal);
  expect((await audit.verify()).findings).toEqual([{ fault: "end_contradicted", writer: "writer-0", sequence: 2 }]);
});

test("a chain notes each earlier end once, and again after it has moved", async () => {
  const audit = createTestAudit();
  const first = await audit.openWriter("writer-0");
  await audit.openWriter("writer-1");
  await first.append(finishedSend("a"));
  await audit.openWriter("writer-2");
  const noted = (await audit.entries()).flatMap((entry) =>
    entry.type === "writer_opened" ? [entry.ends.map(({ writer, sequence }) => `${writer} ${sequence}`)] : [],
  );
  expect(noted).toEqual([[], ["writer-0 1"], ["writer-0 2", "writer-1 1"]]);
  expect((await audit.verify()).intact).toBe(true);
});

test("a chain added to a log whose count was lowered does not hide the lowering", async () => {
  const audit = await filled([1, 1]);
  audit.database.exec("DELETE FROM audit_records WHERE writer = 'writer-1'; DELETE FROM audit_heads WHERE ordinal = 2");
  audit.database.exec("UPDATE audit_directory SET count = 1");
  await audit.openWriter("writer-2");
  expect(await faults(audit)).toContain("directory_forged");
});

test("a log that was sealed with another pepper is not intact", async () => {
  const audit = await filled([2]);
  const pepper = { id: "pepper-2", secret: new Uint8Array(32).fill(9) };
  const report = await audit.store.snapshot((snapshot) => verifyAudit(snapshot, { ...testSealing, pepper }));
  expect(report.findings.map(({ fault }) => fault)).toEqual(["head_forged", "directory_forged"]);
});

test("an earlier report matches a log that only grew", async () => {
  const audit = await filled([2, 1]);
  const { chains } = await audit.verify();
  await audit.openWriter("writer-later");
  const earlier = new Map(chains.map(({ writer, sequence, hash }) => [writer, { sequence, hash }]));
  expect((await audit.verify(earlier)).findings).toEqual([]);
});

test("every change of a stored row is detected", async () => {
  const columns = fc.constantFrom(
    ["audit_records", "text"],
    ["audit_records", "hash"],
    ["audit_records", "sequence"],
    ["audit_records", "writer"],
    ["audit_heads", "hash"],
    ["audit_heads", "sequence"],
    ["audit_heads", "ordinal"],
    ["audit_heads", "seal"],
    ["audit_heads", "pepper_id"],
    ["audit_heads", "writer"],
    ["audit_directory", "count"],
    ["audit_directory", "seal"],
  );
  const lengths = fc.array(fc.nat(4), { minLength: 1, maxLength: 3 });
  const property = fc.asyncProperty(
    lengths,
    columns,
    fc.nat(),
    fc.constantFrom("change", "delete"),
    async (chainLengths, [table = "", column = ""], pick, act) => {
      const audit = await filled(chainLengths);
      const rows = audit.database.prepare(`SELECT * FROM ${table}`).all();
      const row = rows[pick % rows.length] ?? {};
      const where =
        table === "audit_records" ? "writer = ? AND sequence = ?" : table === "audit_heads" ? "writer = ?" : "1";
      const key = where === "1" ? [] : where.includes("AND") ? ["writer", "sequence"] : ["writer"];
      const values = key.map((name) => row[name] ?? null);
      if (act === "delete") audit.database.prepare(`DELETE FROM ${table} WHERE ${where}`).run(...values);
      else {
        const value = row[column];
        const changed = typeof value === "number" ? value + 1_000 : `${String(value)}x`;
        audit.database.prepare(`UPDATE ${table} SET ${column} = ? WHERE ${where}`).run(changed, ...values);
      }
      expect((await audit.verify()).intact).toBe(false);
    },
  );
  await fc.assert(property, { numRuns: 200 });
});

test("a directory sealed for too few or too many chains is detected", async () => {
  for (const count of [1, 3]) {
    const audit = await filled([1, 1]);
    const { seal } = sealDirectory(count, testSealing);
    audit.database.prepare("UPDATE audit_directory SET count = ?, seal = ?").run(count, seal);
    expect(await faults(audit)).toEqual(["chain_missing"]);
  }
});

test("sends without a result are reported, and refused sends are not among them", async () => {
  const audit = createTestAudit();
  const log = await audit.openWriter("writer-0");
  const facts = {
    requestId: "r",
    tenant: "t",
    keyId: "k",
    owner: "o",
    connectionId: "c",
    deviceId: "d",
    agentId: null,
    conversationId: null,
    messageIds: [],
    answersApproval: false,
  };
  await log.append({ type: "send_started", sendId: "s1", ...facts });
  await log.append({ type: "send_started", sendId: "s2", ...facts });
  await log.append({ type: "send_refused", sendId: "s3", ...facts, status: 403, code: "insufficient_scope" });
  await log.append(finishedSend("s1"));
  expect(await audit.verify()).toMatchObject({ intact: true, unfinishedSends: ["s2"] });
});

test("control operations without a result are reported, and those that ended or were refused are not among them", async () => {
  const audit = createTestAudit();
  const log = await audit.openWriter("writer-0");
  const facts = {
    requestId: "r",
    tenant: "t",
    keyId: "k",
    owner: "o",
    connectionId: "c",
    deviceId: "d",
    operation: "stopTurn",
    agentId: null,
    conversationId: null,
    value: null,
  } as const;
  await log.append({ type: "control_started", controlId: "c1", ...facts });
  await log.append({ type: "control_started", controlId: "c2", ...facts });
  await log.append({ type: "control_refused", controlId: "c3", ...facts, status: 403, code: "insufficient_scope" });
  await log.append({ type: "control_finished", controlId: "c1", status: 200, code: null, effect: { stopped: true } });
  expect(await audit.verify()).toMatchObject({ intact: true, unfinishedSends: [], unfinishedControls: ["c2"] });
});

test("refusals that were only counted are reported", async () => {
  const audit = createTestAudit();
  const log = await audit.openWriter("writer-0");
  for (const omitted of [940, 2]) {
    await log.append({ type: "refusals_omitted", tenant: "t", keyId: "k", omitted, since: 0 });
  }
  expect(await audit.verify()).toMatchObject({ intact: true, omittedRefusals: 942 });
});
