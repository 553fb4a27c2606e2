import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import type { AuditEntry } from "./entry.ts";
import type { AuditLog } from "./log.ts";
import { boundRefusals, createRefusalCounts, maxRecordedRefusals, type RefusalBound } from "./refusals.ts";

const facts = {
  ...{ requestId: "r", owner: "o", connectionId: "c", deviceId: null, agentId: null, conversationId: null },
} as const;

function refusedSend(keyId: string, tenant = "acme"): AuditEntry {
  const ids = { sendId: "s", messageIds: [], answersApproval: false };
  return { type: "send_refused", ...facts, ...ids, tenant, keyId, status: 403, code: "insufficient_scope" };
}

function refusedControl(keyId: string): AuditEntry {
  const ids = { controlId: "c", operation: "stopTurn", value: null } as const;
  return { type: "control_refused", ...facts, ...ids, tenant: "acme", keyId, status: 403, code: "insufficient_scope" };
}

function viewerCommand(keyId: string, code: string | null): AuditEntry {
  return { type: "viewer_command", ...facts, deviceId: "d", command: "read_file", tenant: "acme", keyId, code };
}

interface Bounded {
  readonly log: RefusalBound<AuditLog>;
  readonly entries: AuditEntry[];
  readonly failures: unknown[];
  readonly clock: ReturnType<typeof createVirtualClock>;
  omitted(): readonly unknown[];
}

function setUp(fails: (entry: AuditEntry) => boolean = () => false): Bounded {
  const clock = createVirtualClock();
  const entries: AuditEntry[] = [];
  const failures: unknown[] = [];
  const plain: AuditLog = {
    append(entry) {
      if (fails(entry)) throw new Error("disk full");
      return Promise.resolve(void entries.push(entry));
    },
  };
  const log = boundRefusals(plain, { clock, onFailure: (cause) => failures.push(cause) });
  const omitted = (): readonly unknown[] => entries.filter(({ type }) => type === "refusals_omitted");
  return { log, entries, failures, clock, omitted };
}

async function repeat(count: number, run: (index: number) => Promise<void>): Promise<void> {
  for (let index = 0; index < count; index++) await run(index);
}

test("the first refusals of a key in a minute are recorded, and the others are one number at its end", async () => {
  const { log, entries, clock, omitted } = setUp();
  const since = clock.now();
  await repeat(1_000, () => log.append(refusedSend("k1")));
  await repeat(3, () => log.append(refusedSend("k2")));
  expect(entries).toHaveLength(maxRecordedRefusals.perKey + 3);
  await clock.advance(60_000);
  expect(omitted()).toEqual([{ type: "refusals_omitted", tenant: "acme", keyId: "k1", omitted: 940, since }]);
  await log.append(refusedSend("k1"));
  await clock.advance(60_000);
  expect(entries).toHaveLength(maxRecordedRefusals.perKey + 5);
});

test("refused sends, control operations and viewer frames share the bound, and all that are sent are recorded", async () => {
  const { log, entries } = setUp();
  await repeat(100, async () => {
    await log.append(refusedSend("k"));
    await log.append(refusedControl("k"));
    await log.append(viewerCommand("k", "insufficient_scope"));
    await log.append(viewerCommand("k", null));
  });
  const counted = (wanted: (entry: AuditEntry) => boolean): number => entries.filter(wanted).length;
  expect(counted((entry) => "code" in entry && entry.code !== null)).toBe(maxRecordedRefusals.perKey);
  expect(counted((entry) => entry.type === "viewer_command" && entry.code === null)).toBe(100);
});

test("the records of a tenant are bounded with any number of keys, and those of other tenants are not affected", async () => {
  const { log, entries, clock, omitted } = setUp();
  await repeat(5_000, (index) => log.append(refusedSend(`key ${index}`)));
  await log.append(refusedSend("theirs", "other"));
  expect(entries).toHaveLength(maxRecordedRefusals.perTenant + 1);
  expect(entries.at(-1)).toMatchObject({ tenant: "other" });
  await clock.advance(60_000);
  expect(omitted()).toMatchObject([{ tenant: "acme", keyId: null, omitted: 4_400 }]);
});

test("the number of counted keys is bounded, and no refusal is missing from the sum", () => {
  const counts = createRefusalCounts();
  let recorded = 0;
  for (let index = 0; index < 30_000; index++) {
    const tenant = `tenant ${index % 30}`;
    if (counts.add({ tenant, keyId: `key ${index}` })) recorded += 1;
  }
  const omitted = counts.omitted();
  expect(recorded).toBeLessThanOrEqual(10_000);
  expect(omitted.length).toBeLessThanOrEqual(31);
  expect(omitted.at(-1)).toMatchObject({ tenant: null, keyId: null });
  expect(omitted.reduce((sum, of) => sum + of.omitted, recorded)).toBe(30_000);
});

test("the count of an unfinished minute is recorded before the log closes, and a log without omissions gets no record", async () => {
  const { log, entries, omitted, clock } = setUp();
  await repeat(61, () => log.append(refusedSend("k")));
  await log.endRefusals();
  expect(omitted()).toMatchObject([{ omitted: 1 }]);
  await log.append(refusedSend("k"));
  await log.endRefusals();
  await clock.advance(120_000);
  expect(entries).toHaveLength(62);
});

test("a count that cannot be recorded is reported and refuses nothing", async () => {
  const { log, failures, clock } = setUp(({ type }) => type === "refusals_omitted");
  await repeat(61, () => log.append(refusedSend("k")));
  await clock.advance(60_000);
  expect(failures).toHaveLength(1);
  await log.append(refusedSend("k"));
});
