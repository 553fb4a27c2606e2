import { mkdtempSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createGroupCommit } from "@letta-environments/platform";
import { openSqlite } from "@letta-environments/platform/node";
import { afterEach, beforeEach, expect, test } from "vitest";
import { finishedSend, testSealing } from "../../../test/support/test-audit.ts";
import { createSqliteAuditStore } from "../../adapters/sqlite/audit-store.ts";
import { type OpenAuditLog, openAuditLog } from "../../audit/log.ts";
import { createFileGuard } from "./audit-file.ts";

let folder = "";
let path = "";
const closes: (() => void)[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "audit-"));
  path = join(folder, "audit.sqlite");
});

afterEach(() => {
  for (const close of closes.splice(0)) close();
  rmSync(folder, { recursive: true });
});

function open(now: () => number = () => 0): Promise<OpenAuditLog> {
  const database = openSqlite(path);
  closes.push(() => database.close());
  const store = createSqliteAuditStore(database);
  database.exec("PRAGMA busy_timeout = 0");
  return openAuditLog({
    ...testSealing,
    store,
    transactions: createGroupCommit(database, { guard: createFileGuard(path, now), defer: queueMicrotask }),
    clock: { now },
    writer: "writer-1",
    version: "1.0.0",
  });
}

test("nothing is written to an audit file that was moved or replaced", async () => {
  const log = await open();
  await log.append(finishedSend("a"));
  renameSync(path, join(folder, "elsewhere"));
  await expect(log.append(finishedSend("b"))).rejects.toMatchObject({ cause: expect.any(Error) });
  const other = openSqlite(path);
  closes.push(() => other.close());
  await expect(log.append(finishedSend("c"))).rejects.toMatchObject({ cause: expect.any(Error) });
});

test("a write waits for an audit file that another process has locked, without blocking the event loop", async () => {
  const log = await open();
  const other = openSqlite(path);
  closes.push(() => other.close());
  other.exec("BEGIN IMMEDIATE");
  const appended = log.append(finishedSend("a"));
  // This timer would not run if the store blocked the event loop.
  setTimeout(() => other.exec("COMMIT"), 50);
  await appended;
  expect(log.checkpoint().sequence).toBe(2);
});

test("a write fails if another process keeps the audit file locked for too long", async () => {
  let time = 0;
  const log = await open(() => (time += 2_000));
  const other = openSqlite(path);
  closes.push(() => other.close());
  other.exec("BEGIN IMMEDIATE");
  await expect(log.append(finishedSend("a"))).rejects.toMatchObject({ name: "AuditUnavailableError" });
  other.exec("COMMIT");
});
