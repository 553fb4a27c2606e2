/** A store whose file another process has locked, such as a backup or a database browser, or that cannot be written. */
import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import type { SqliteDatabase } from "@letta-environments/platform";
import { openSqlite, systemClock } from "@letta-environments/platform/node";
import type { VirtualClock } from "@letta-environments/testkit";
import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { createSqliteEnvironmentStore } from "../src/sqlite.ts";
import { createHarness, type Harness, userMessage } from "./support/harness.ts";

/** The lock is held by another process, so time has to pass by itself. */
const realClock: VirtualClock = {
  ...systemClock,
  advance: (durationMs) => new Promise((resolve) => void setTimeout(resolve, durationMs)),
  shiftWallTime: () => undefined,
  timerCount: 0,
};

let directory: string;
let file: string;
let harness: Harness;
let database: SqliteDatabase;
const ends: (() => Promise<unknown>)[] = [];

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "environment-server-lock-"));
  file = join(directory, "server.sqlite");
  const opened = openSqlite(file);
  database = opened;
  const store = createSqliteEnvironmentStore(database);
  database.exec("PRAGMA busy_timeout = 0");
  harness = createHarness({ store, clock: realClock });
  ends.push(async () => {
    await harness.server.close();
    opened.close();
  });
});

afterEach(async () => {
  for (const end of ends.splice(0)) await end();
  rmSync(directory, { recursive: true });
});

/** Starts a process that locks the file. Returns the function that makes it release the lock. */
async function lockFile(): Promise<() => Promise<void>> {
  const script = join(import.meta.dirname, "support", "hold-lock.ts");
  const child: ChildProcess = spawn(process.execPath, [script, file], { stdio: ["pipe", "pipe", "inherit"] });
  const exited = once(child, "exit");
  const release = async (): Promise<void> => {
    child.stdin?.end();
    await exited;
  };
  ends.push(release);
  if (child.stdout !== null) await once(child.stdout, "data");
  return release;
}

/** Counts how often the event loop turns. It would not turn while SQLite waits for the lock. */
function countTurns(): () => number {
  let turns = 0;
  const timer = setInterval(() => (turns += 1), 5);
  return () => {
    clearInterval(timer);
    return turns;
  };
}

test("sends wait for the lock in their order without blocking the process, and are delivered when it is released", async () => {
  const { connectionId, socket } = await harness.connect("device-1");
  socket.onFrame = () => queueMicrotask(() => socket.acknowledge());
  const release = await lockFile();
  const turns = countTurns();
  let tries = 0;
  const { reserve } = harness.store;
  Object.assign(harness.store, {
    reserve: (...given: Parameters<typeof reserve>) => ((tries += 1), reserve(...given)),
  });
  const ids = ["m-1", "m-2", "m-3"];
  const sends = ids.map((id) => harness.send(connectionId, { messages: [userMessage(id)] }));
  // They are tried again while the event loop turns.
  await vi.waitFor(() => expect(tries).toBeGreaterThan(5));
  expect(socket.inputs()).toEqual([]);
  expect(turns()).toBeGreaterThan(5);
  await release();
  expect((await Promise.all(sends)).map(({ status }) => status)).toEqual([200, 200, 200]);
  expect(socket.inputs().map(({ payload }) => payload.messages[0]?.client_message_id)).toEqual(ids);
});

test("a file that stays locked is 503 storage_unavailable within 2 seconds for all requests, and nothing is sent or enrolled", async () => {
  const { connectionId, socket } = await harness.connect("device-1");
  const release = await lockFile();
  // A timer of this process runs later, however busy the machine is.
  let isInTime = true;
  const timer = setTimeout(() => (isInTime = false), 4_000);
  const turns = countTurns();
  const bodies = [{ deviceId: "device-2", connectionName: "two" }];
  const answers = await Promise.all([
    ...["m-1", "m-2", "m-3"].map((id) => harness.send(connectionId, { messages: [userMessage(id)] })),
    ...bodies.map((body) => harness.call("POST", "/v1/environments/register", { body })),
  ]);
  clearTimeout(timer);
  expect(isInTime).toBe(true);
  expect(turns()).toBeGreaterThan(20);
  for (const answer of answers) {
    expect(answer).toMatchObject({
      status: 503,
      headers: { "x-should-retry": "true", "retry-after": "1" },
      body: { errorCode: "storage_unavailable" },
    });
  }
  expect(socket.inputs()).toEqual([]);
  expect((await harness.call("GET", "/v1/environments/device-1")).status).toBe(200);
  await release();
  socket.onFrame = () => queueMicrotask(() => socket.acknowledge());
  expect((await harness.send(connectionId, { messages: [userMessage("m-1")] })).headers).not.toHaveProperty(
    "idempotency-replayed",
  );
  expect(socket.inputs()).toHaveLength(1);
});

test("a send while the disk is full is 503 and does not leave, and its repeat is delivered when there is room", async () => {
  const { connectionId, socket } = await harness.connect("device-1");
  socket.onFrame = () => queueMicrotask(() => socket.acknowledge());
  await harness.settle();
  database.exec(`PRAGMA max_page_count = ${Number(database.prepare("PRAGMA page_count").get()?.["page_count"])}`);
  const messages = Array.from({ length: 50 }, (_, index) => userMessage(`m-${index}-${"x".repeat(100)}`));
  const refused = await harness.send(connectionId, { messages });
  expect(refused).toMatchObject({
    status: 503,
    headers: { "x-should-retry": "true" },
    body: { errorCode: "storage_unavailable", message: expect.stringContaining("cannot be written") as string },
  });
  expect(socket.inputs()).toEqual([]);
  await expect(
    harness.register("device-2", {
      body: { deviceId: "device-2", connectionName: "b", metadata: { os: "x".repeat(16_000) } },
    }),
  ).rejects.toThrow("storage_unavailable");
  database.exec("PRAGMA max_page_count = 1000000");
  expect((await harness.send(connectionId, { messages })).status).toBe(200);
  expect(socket.inputs()).toHaveLength(1);
});
