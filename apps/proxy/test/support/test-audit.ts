import {
  type Clock,
  createGroupCommit,
  type GroupCommitOptions,
  type SqliteDatabase,
} from "@letta-environments/platform";
import { openSqlite } from "@letta-environments/platform/node";
import { createVirtualClock } from "@letta-environments/testkit";
import { createSqliteAuditStore, type SqliteAuditStore } from "../../src/adapters/sqlite/audit-store.ts";
import type { AuditEntry } from "../../src/audit/entry.ts";
import { type OpenAuditLog, openAuditLog } from "../../src/audit/log.ts";
import type { Sealing } from "../../src/audit/chain.ts";
import { type AuditReport, type AuditCheckpoints, verifyAudit } from "../../src/audit/verify.ts";
import { testDigests, testPepper } from "./test-proxy.ts";

export const testSealing: Sealing = { digests: testDigests, pepper: testPepper };

/** A log in memory, with everything a test looks at and tampers with. */
export interface TestAudit {
  readonly database: SqliteDatabase;
  readonly store: SqliteAuditStore;
  openWriter(writer: string, options?: Partial<GroupCommitOptions>): Promise<OpenAuditLog>;
  entries(): Promise<AuditEntry[]>;
  verify(earlier?: AuditCheckpoints): Promise<AuditReport>;
}

export function createTestAudit(clock: Pick<Clock, "now"> = createVirtualClock()): TestAudit {
  const database = openSqlite(":memory:");
  const store = createSqliteAuditStore(database);
  return {
    database,
    store,
    openWriter(writer, options) {
      const transactions = createGroupCommit(database, { defer: queueMicrotask, ...options });
      return openAuditLog({ ...testSealing, store, transactions, clock, writer, version: "1.0.0" });
    },
    entries: () =>
      store.snapshot(({ records }) => [...records].map(({ text }): AuditEntry => JSON.parse(text) as AuditEntry)),
    verify: (earlier) => store.snapshot((snapshot) => verifyAudit(snapshot, testSealing, earlier)),
  };
}

/** An entry to fill a log with. */
export function finishedSend(sendId: string): AuditEntry {
  return { type: "send_finished", sendId, status: 200, code: null, replayed: false };
}
