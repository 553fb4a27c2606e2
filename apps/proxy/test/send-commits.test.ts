/** The reservation of a send, its audit records and its result, in one file: what is committed together, and what happens when it cannot be. */
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { jsonResponse, type PlainResponse } from "@letta-environments/schema";
import { createGroupCommit, type SqliteDatabase } from "@letta-environments/platform";
import { openSqlite, systemClock } from "@letta-environments/platform/node";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createFileGuard, type FileGuard } from "../src/adapters/node/audit-file.ts";
import { createSqliteAuditStore } from "../src/adapters/sqlite/audit-store.ts";
import { createSqliteIdempotencyStore } from "../src/adapters/sqlite/idempotency-store.ts";
import { openAuditLog } from "../src/audit/log.ts";
import { verifyAudit } from "../src/audit/verify.ts";
import type { UpstreamFetch } from "../src/ports.ts";
import { fakeRequest } from "./support/fake-request.ts";
import { knownConnections } from "./support/known-connections.ts";
import { testSealing } from "./support/test-audit.ts";
import { createTestProxy, problemOf } from "./support/test-proxy.ts";

let folder = "";
const databases: SqliteDatabase[] = [];

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "commits-"));
});

afterEach(() => {
  for (const database of databases.splice(0)) database.close();
  rmSync(folder, { recursive: true });
});

function open(): SqliteDatabase {
  const database = openSqlite(join(folder, "audit.sqlite"));
  databases.push(database);
  return database;
}

const accepted: UpstreamFetch = () => Promise.resolve(jsonResponse(200, { success: true, message: "sent" }));

interface Options {
  /** Runs the transactions. Default: the guard of the file. */
  readonly guard?: FileGuard;
  /** The clock of that guard, in milliseconds. */
  readonly monotonic?: () => number;
  readonly upstream?: UpstreamFetch;
}

/** A gateway over a file, with what a test looks at. */
async function setUp({ guard, monotonic = systemClock.monotonic, upstream = accepted }: Options) {
  const database = open();
  const store = createSqliteAuditStore(database);
  database.exec("PRAGMA busy_timeout = 0");
  let commits = 0;
  const run = guard ?? createFileGuard(join(folder, "audit.sqlite"), monotonic);
  const transactions = createGroupCommit(database, {
    defer: setImmediate,
    guard(transact) {
      commits += 1;
      return run(transact);
    },
  });
  const log = await openAuditLog({
    ...testSealing,
    store,
    transactions,
    clock: systemClock,
    writer: "writer-1",
    version: "1.0.0",
  });
  const idempotencyStore = createSqliteIdempotencyStore(database, transactions, systemClock);
  commits = 0;
  const { proxy, issueKey, upstreamRequests } = createTestProxy(knownConnections(upstream), {
    ports: { audit: log, clock: systemClock },
    remote: { idempotencyStore },
  });
  const { key } = await issueKey();
  const reader = open();
  return {
    database,
    commits: () => commits,
    sent: () => upstreamRequests.filter(({ method }) => method === "POST").length,
    send: (id: string): Promise<PlainResponse> =>
      proxy.handle(
        fakeRequest({
          key,
          method: "POST",
          path: "/v1/environments/conn-1/messages",
          headers: { "content-type": "application/json" },
          body: JSON.stringify({
            agentId: "agent-1",
            messages: [{ role: "user", content: "hello", client_message_id: id }],
          }),
        }),
      ),
    /** The records that another process reads from the file. */
    stored(): { readonly types: readonly string[]; readonly ids: number; readonly results: number } {
      const texts = reader.prepare("SELECT text FROM audit_records WHERE sequence > 1 ORDER BY sequence").all();
      const count = (sql: string): number => Number(reader.prepare(sql).get()?.["count"]);
      return {
        types: texts.map(({ text }) => (JSON.parse(String(text)) as { readonly type: string }).type),
        ids: count("SELECT count(*) AS count FROM send_ids"),
        results: count("SELECT count(*) AS count FROM send_attempts WHERE result IS NOT NULL"),
      };
    },
    isIntact: () => store.snapshot((snapshot) => verifyAudit(snapshot, testSealing).intact),
  };
}

describe("sends to a remote upstream, with the audit log on disk", () => {
  test("a send is reserved and recorded in one commit before delivery, and its result and end share another", async () => {
    const seen: unknown[] = [];
    const gateway = await setUp({
      upstream(request, signal) {
        if (request.method === "POST") seen.push([gateway.commits(), gateway.stored()]);
        return accepted(request, signal);
      },
    });
    expect((await gateway.send("a")).status).toBe(200);
    expect(seen).toEqual([[1, { types: ["send_started"], ids: 1, results: 0 }]]);
    expect(gateway.commits()).toBe(2);
    expect(gateway.stored()).toEqual({ types: ["send_started", "send_finished"], ids: 1, results: 1 });
    expect(await gateway.isIntact()).toBe(true);
  });

  test("a send shares its commits with the sends that arrive with it", async () => {
    const gateway = await setUp({});
    await gateway.send("first");
    const before = gateway.commits();
    const responses = await Promise.all(Array.from({ length: 50 }, (_, index) => gateway.send(`${index}`)));
    expect(responses.map(({ status }) => status)).toEqual(Array.from({ length: 50 }, () => 200));
    expect(gateway.commits() - before).toBeLessThan(10);
    expect(gateway.stored()).toMatchObject({ ids: 51, results: 51 });
    expect(await gateway.isIntact()).toBe(true);
  });

  test("a send whose repeats arrive together runs once, and each of them has one start and one end in the audit log", async () => {
    const gateway = await setUp({});
    const responses = await Promise.all(Array.from({ length: 5 }, () => gateway.send("same")));
    expect(responses.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200]);
    expect(gateway.sent()).toBe(1);
    const { types, ids } = gateway.stored();
    expect(types.toSorted()).toEqual([
      ...Array.from({ length: 5 }, () => "send_finished"),
      ...Array.from({ length: 5 }, () => "send_started"),
    ]);
    expect(ids).toBe(1);
    expect(await gateway.isIntact()).toBe(true);
  });

  test("a send is refused with 503 and not delivered while the disk is full, and works again afterwards", async () => {
    const gateway = await setUp({});
    const { page_count: pages } = gateway.database.prepare("PRAGMA page_count").get() ?? {};
    gateway.database.exec(`PRAGMA max_page_count = ${Number(pages) + 2}`);
    const statuses: number[] = [];
    while (!statuses.includes(503) && statuses.length < 1_000) {
      const id = `${statuses.length}`;
      const responses = await Promise.all([gateway.send(id), gateway.send(`${id} too`)]);
      statuses.push(...responses.map(({ status }) => status));
    }
    expect(problemOf(await gateway.send("later"))).toMatchObject({ errorCode: "idempotency_unavailable" });
    expect(gateway.sent()).toBe(statuses.filter((status) => status === 200).length);
    gateway.database.exec("PRAGMA max_page_count = 1000000");
    expect((await gateway.send("later")).status).toBe(200);
    expect(await gateway.isIntact()).toBe(true);
  });

  test("a send is refused with 503 and not delivered while another process keeps the file locked", async () => {
    let time = 0;
    const gateway = await setUp({ monotonic: () => (time += 1_000) });
    await gateway.send("first");
    const other = open();
    other.exec("BEGIN IMMEDIATE");
    expect(problemOf(await gateway.send("a"))).toMatchObject({ status: 503, errorCode: "idempotency_unavailable" });
    expect(gateway.sent()).toBe(1);
    other.exec("COMMIT");
    expect((await gateway.send("a")).status).toBe(200);
    expect(await gateway.isIntact()).toBe(true);
  });

  test("a send is never delivered twice when a commit reports a failure but took effect", async () => {
    let fails = false;
    const gateway = await setUp({
      async guard(run) {
        const result = await run();
        if (fails) throw new Error("i/o error");
        return result;
      },
    });
    fails = true;
    expect(problemOf(await gateway.send("a"))).toMatchObject({ status: 503, errorCode: "idempotency_unavailable" });
    fails = false;
    // The ids are released in the background, and a repeat waits for that.
    expect((await gateway.send("a")).status).toBe(200);
    expect(gateway.sent()).toBe(1);
    expect(await gateway.isIntact()).toBe(true);
  });
});
