import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { SqliteDatabase } from "@letta-environments/platform";
import { openSqlite } from "@letta-environments/platform/node";
import { expect, onTestFinished, test } from "vitest";
import type { EnvironmentStore, StoredApproval, StoredMessage } from "../src/index.ts";
import { createRowCount, createSqliteEnvironmentStore } from "../src/sqlite.ts";
import { enrolment } from "./enrolment.ts";
import { createHarness } from "./support/harness.ts";

const scope = { environmentId: "env-1", agentId: "agent-1", conversationId: "default" };
const detail = { disposition: null, stopReason: null, error: null, usage: null, durationMs: null };
const reply = { text: "pong", isTruncated: false };
const request = { requestId: "r", tool: "Bash", input: null, isInputCut: false, reason: null, suggestions: [] };
const decision = { behavior: "deny", reason: "no", decidedBy: "key-1", decidedAt: 1 } as const;
const everyDevice = { tenant: null, deviceId: null, afterId: null, limit: null };
const always = (): boolean => true;

/** Adds a row with {@link addHistory}. */
async function fill(store: EnvironmentStore, environmentId: string): Promise<void> {
  const row = { environmentId, deviceId: `device of ${environmentId}`, connectionId: `conn of ${environmentId}` };
  await store.enrol({ ...enrolment, ...row });
  await addHistory(store, environmentId);
}

/** Adds 450 messages to a row, and 449 decided requests and a pending one. */
async function addHistory(store: EnvironmentStore, environmentId: string): Promise<void> {
  const numbers = Array.from({ length: 450 }, (_, index) => index);
  const messages = numbers.map((index): StoredMessage => {
    const ids = { messageId: `m-${index}`, deliveryId: `msg-${index}`, approvalPolicy: null };
    const status = { state: "running" as const, ...detail, reply };
    return { ...ids, scope: { ...scope, environmentId }, status, sentAt: index, updatedAt: index };
  });
  await store.saveMessages(messages);
  const requests = numbers.map((index): StoredApproval => {
    const asked = { tenant: "acme", scope: { ...scope, environmentId }, messageId: null, requestedAt: index };
    const toolCallId = `call-${index}`;
    return { ...asked, request: { ...request, toolCallId }, expiry: null, decision: index === 0 ? null : decision };
  });
  await store.saveApprovals(requests, []);
}

function count(database: SqliteDatabase): number {
  const tables = ["environment_message_status", "environment_approval", "environment"];
  return tables.reduce(
    (sum, table) => sum + Number(database.prepare(`SELECT count(*) AS n FROM ${table}`).get()?.["n"]),
    0,
  );
}

const removals = [
  [
    "a device",
    async (store: EnvironmentStore) => {
      const rows = await store.removeDevice("acme", "device of env-1", always);
      await store.finishRemoval((rows ?? []).map(({ id }) => id));
    },
  ],
  [
    "a row",
    async (store: EnvironmentStore) => {
      await store.removeEnvironments(["env-1"]);
      while (await store.prune(0, 200));
    },
  ],
] as const;

test.each(removals)("removing %s lets other work run after each 200 messages and requests", async (_, remove) => {
  const database = openSqlite(":memory:");
  onTestFinished(() => database.close());
  const counts: number[] = [];
  const store = createSqliteEnvironmentStore(database, {
    defer(run) {
      counts.push(count(database));
      setImmediate(run);
    },
  });
  await fill(store, "env-1");
  await fill(store, "env-2");
  const before = count(database);
  counts.length = 0;
  await remove(store);
  const removed = [...counts.slice(1), count(database)].map((left, index) => (counts[index] ?? 0) - left);
  expect(removed.filter((rows) => rows > 200)).toEqual([]);
  expect(before - count(database)).toBe(901);
  const counted = database.prepare("SELECT * FROM environment_message_count").all();
  expect(counted).toEqual([
    { environment_id: "", messages: 0, characters: 1_800 },
    { environment_id: "env-2", messages: 450, characters: 0 },
  ]);
});

test.each(removals)(
  "a process that is killed while it removes %s leaves nothing that shows, and the next clean-up removes the rest",
  async (_, remove) => {
    const directory = mkdtempSync(join(tmpdir(), "batched-removal-"));
    onTestFinished(() => rmSync(directory, { recursive: true }));
    const file = join(directory, "environments.sqlite");
    const killed = openSqlite(file);
    let commits = Number.POSITIVE_INFINITY;
    const store = createSqliteEnvironmentStore(killed, {
      defer(run) {
        commits -= 1;
        if (commits >= 0) queueMicrotask(run);
      },
    });
    await fill(store, "env-1");
    commits = 2;
    void remove(store);
    await new Promise((resolve) => void setImmediate(resolve));
    killed.close();

    const database = openSqlite(file);
    onTestFinished(() => database.close());
    const next = createSqliteEnvironmentStore(database);
    expect(count(database)).toBeGreaterThan(0);
    expect(createRowCount(database)()).toBe(0);
    expect(await next.listDevices(everyDevice)).toEqual([]);
    expect(await next.findIdleEnvironments(9_999, 9)).toEqual([]);
    expect(await next.findPendingApprovals(9)).toEqual([]);
    await fill(next, "env-2");
    await next.saveMessages([
      {
        scope,
        messageId: "late",
        deliveryId: "d",
        approvalPolicy: null,
        sentAt: 1,
        updatedAt: 1,
        status: { state: "sent", ...detail, reply },
      },
    ]);
    expect(await next.readMessages("env-1", "late", 9)).toEqual([]);
    for (let before = count(database); await next.prune(0, 200); before = count(database))
      expect(before - count(database)).toBeLessThanOrEqual(200);
    expect(count(database)).toBe(901);
  },
);

test("a removed device is disconnected before its messages are removed, and its removal waits for no other rows", async () => {
  const database = openSqlite(":memory:");
  onTestFinished(() => database.close());
  const store = createSqliteEnvironmentStore(database, { defer: setImmediate });
  const { server, connect, register, events } = createHarness({ store });
  for (const environmentId of ["env-1", "env-2"]) await fill(store, environmentId);
  await store.removeEnvironments(["env-1", "env-2"]);
  const { socket } = await connect("device-a");
  const [row] = await store.findEnvironments("acme", "device-a");
  await addHistory(store, row?.id ?? "");
  const before = count(database);
  expect(before).toBeGreaterThan(2_000);

  events.length = 0;
  const removing = server.devices.remove("acme", "device-a", always);
  while ((await store.listDevices(everyDevice)).length > 0) await new Promise((resolve) => void setImmediate(resolve));
  expect(socket.closes).toEqual([{ code: 1008, reason: "The device was removed" }]);
  expect(count(database)).toBeGreaterThanOrEqual(before - 200);
  await register("device-a");
  expect(events.map(({ type }) => type)).toEqual(["device_removed", "device_disconnected", "device_registered"]);
  await removing;
  expect(count(database)).toBe(before - 900);
});
