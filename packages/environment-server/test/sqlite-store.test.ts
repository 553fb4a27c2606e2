import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openSqlite } from "@letta-environments/platform/node";
import { afterAll, expect, test } from "vitest";
import { createSqliteEnvironmentStore } from "../src/sqlite.ts";
import type { StoredApproval } from "../src/index.ts";
import { describeChangeLogContract } from "./change-log-contract.ts";
import { enrolment } from "./enrolment.ts";
import { describeStoreContract } from "./store-contract.ts";

const directory = mkdtempSync(join(tmpdir(), "environment-store-"));
afterAll(() => rmSync(directory, { recursive: true }));
let files = 0;
const newFile = (): string => join(directory, `${(files += 1)}.sqlite`);

describeStoreContract("SQLite in memory", (limits = {}) =>
  createSqliteEnvironmentStore(openSqlite(":memory:"), { limits }),
);
describeChangeLogContract("SQLite", (changes) =>
  createSqliteEnvironmentStore(openSqlite(":memory:"), { limits: { changes } }),
);
describeStoreContract("SQLite in a file", (limits = {}) =>
  createSqliteEnvironmentStore(openSqlite(newFile()), { limits }),
);

test("tables of a newer version are refused and not changed", () => {
  const database = openSqlite(":memory:");
  createSqliteEnvironmentStore(database);
  database.exec("UPDATE environment_schema SET version = 99");
  expect(() => createSqliteEnvironmentStore(database)).toThrow("version 99");
  expect(database.prepare("SELECT version FROM environment_schema").get()).toEqual({ version: 99 });
});

test("a file of version 9 is migrated: its decisions are counted, so that the oldest of too many are removed", async () => {
  const database = openSqlite(":memory:");
  const before = createSqliteEnvironmentStore(database);
  await before.enrol(enrolment);
  const request = { requestId: "r", tool: "Bash", input: null, isInputCut: false, reason: null, suggestions: [] };
  const scope = { environmentId: "env-1", agentId: "agent-1", conversationId: "default" };
  const call = (toolCallId: string, decidedAt: number | null): StoredApproval => ({
    ...{ tenant: "acme", scope, request: { ...request, toolCallId }, messageId: null, requestedAt: 1, expiry: null },
    decision: decidedAt === null ? null : { behavior: "deny", reason: "no", decidedBy: "key-1", decidedAt },
  });
  const calls = [call("call-1", 1), call("call-2", 2), call("call-3", 3), call("call-4", null)];
  await before.saveApprovals(calls, []);
  const version9 = `DROP INDEX environment_message_status_ended; DROP INDEX environment_by_owner;
    DROP TABLE environment_approval_count;
    DROP TRIGGER environment_approval_added; DROP TRIGGER environment_approval_changed;
    DROP TRIGGER environment_approval_removed; UPDATE environment_schema SET version = 9;`;
  database.exec(version9);
  const approvals = { durationMs: 1_000, maxDecisions: 2 };
  const store = createSqliteEnvironmentStore(database, { limits: { approvals } });
  expect(database.prepare("SELECT decided FROM environment_approval_count").get()).toEqual({ decided: 3 });
  expect(await store.pruneApprovals(10, 9)).toBe(false);
  const found = await Promise.all(
    calls.map(({ request: { toolCallId } }) => store.findDecidedApproval({ scope, toolCallId })),
  );
  expect(found.map((approval) => approval?.request.toolCallId)).toEqual([undefined, "call-2", "call-3", undefined]);
  expect(database.prepare("SELECT 1 FROM sqlite_schema WHERE name = 'environment_by_owner'").all()).toHaveLength(1);
  await store.removeDevice("acme", enrolment.deviceId, () => true);
  await store.finishRemoval([enrolment.environmentId]);
  expect(database.prepare("SELECT decided FROM environment_approval_count").get()).toEqual({ decided: 0 });
});

test("other tables in the same file are not changed", () => {
  const database = openSqlite(":memory:");
  database.exec("CREATE TABLE gateway_key (id TEXT); INSERT INTO gateway_key VALUES ('k'); PRAGMA user_version = 7");
  createSqliteEnvironmentStore(database);
  createSqliteEnvironmentStore(database);
  expect(database.prepare("SELECT id FROM gateway_key").all()).toEqual([{ id: "k" }]);
  expect(database.prepare("PRAGMA user_version").get()).toEqual({ user_version: 7 });
});

test("prune removes expired records from the file", async () => {
  const database = openSqlite(":memory:");
  const store = createSqliteEnvironmentStore(database);
  const scope = { environmentId: "env-1", agentId: "", conversationId: "conv-1" };
  await store.reserve({ id: "msg-1", scope, messageIds: ["m-1", "m-2"], fingerprint: "f" }, 1_000);
  const count = (table: string): unknown => database.prepare(`SELECT count(*) AS count FROM ${table}`).get()?.["count"];
  expect([count("environment_delivery"), count("environment_message")]).toEqual([1, 2]);
  expect(await store.prune(1_000 + 24 * 3_600_000, 10)).toBe(false);
  expect([count("environment_delivery"), count("environment_message")]).toEqual([0, 0]);
});

test("a page of changes examines 1,000 changes of all tenants, and reports that there are more", async () => {
  const store = createSqliteEnvironmentStore(openSqlite(":memory:"));
  const subject = { environmentId: "env-1", deviceId: "d", connectionName: "d", tags: [], agentId: null };
  const append = (tenant: string, count: number): Promise<unknown> =>
    store.appendChanges(Array(count).fill({ ...subject, tenant, kind: "message", data: "{}" }), 1);
  await append("other", 2_000);
  await append("t", 1);
  const pages: unknown[] = [];
  for (let [after, hasMore] = [0, true]; hasMore;) {
    const page = await store.readChanges({ tenant: "t", after, includesOutput: true, deviceIds: null });
    ({ through: after, hasMore } = page);
    pages.push([page.changes.length, after, hasMore]);
  }
  expect(pages).toEqual([
    [0, 1_000, true],
    [0, 2_000, true],
    [1, 2_001, false],
  ]);
});

test("the server time after a crash is not earlier than the latest send, change or recording", async () => {
  const store = createSqliteEnvironmentStore(openSqlite(":memory:"));
  await store.saveTime({ now: 1_000, changes: [] });
  const scope = { environmentId: "env-1", agentId: "", conversationId: "conv-1" };
  const subject = { tenant: "t", environmentId: "env-1", deviceId: "d", connectionName: "d", tags: [] };
  const changes = [
    ["a send", 2_000, () => store.reserve({ id: "msg-1", scope, messageIds: ["m-1"], fingerprint: "f" }, 2_000)],
    ["a change", 3_000, () => store.appendChanges([{ ...subject, kind: "message", agentId: null, data: "{}" }], 3_000)],
    [
      "a recording",
      4_000,
      () => store.saveRecording({ tenant: "t", untilMs: 9_000, outputSinceMs: 4_000, outputUntilMs: 9_000 }),
    ],
  ] as const;
  for (const [what, nowMs, run] of changes) {
    await run();
    expect([what, store.savedTime?.now]).toEqual([what, nowMs]);
  }
});

test("the statuses of a device's messages are removed with it, and their text is counted no more", async () => {
  const database = openSqlite(":memory:");
  const store = createSqliteEnvironmentStore(database);
  const device = { tenant: "t", deviceId: "d", listenerInstanceId: "default", connectionName: "d", metadata: null };
  const key = { keyId: "k", owner: "o", shared: false, knownNames: null, labels: null, maxEnvironments: 1 };
  await store.enrol({ ...device, ...key, environmentId: "env-1", connectionId: "conn-1", nowMs: 0 });
  const scope = { environmentId: "env-1", agentId: "", conversationId: "conv-1" };
  const reply = { text: "pong", isTruncated: false };
  const detail = { disposition: null, stopReason: null, error: null, usage: null, durationMs: null };
  const message = { scope, messageId: "m-1", deliveryId: "msg-1", approvalPolicy: null, sentAt: 1, updatedAt: 1 };
  const save = (text: typeof reply | null): Promise<void> =>
    store.saveMessages([{ ...message, status: { state: "finished", ...detail, reply: text } }]);
  const counts = (): unknown => database.prepare("SELECT * FROM environment_message_count").all();
  const none = { environment_id: "", messages: 0, characters: 0 };
  await save(null);
  await save(reply);
  expect(counts()).toEqual([
    { ...none, characters: 4 },
    { environment_id: "env-1", messages: 1, characters: 0 },
  ]);
  await store.removeDevice("t", "d", () => true);
  await store.finishRemoval(["env-1"]);
  expect(await store.readMessages("env-1", "m-1", 9)).toEqual([]);
  expect(counts()).toEqual([none]);
  await save(reply);
  expect(counts()).toEqual([none]);
});
