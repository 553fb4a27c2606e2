import { constantTimeEqual, hmacSha256Hex, randomId, sha256Hex, systemClock } from "@letta-environments/platform/node";
import { createSqliteAuditStore } from "../../adapters/sqlite-audit-store.ts";
import { type OpenAuditLog, openAuditLog } from "../../audit/audit-log.ts";
import type { AuditStore } from "../../audit/audit-store.ts";
import type { Sealing } from "../../audit/chain.ts";
import type { Settings } from "../../config/settings.ts";
import type { Pepper } from "../../ports.ts";
import { version } from "../../version.ts";
import { openDatabase } from "./open-database.ts";

/** Where the audit log lies in the data directory. */
export const auditFile = "audit.sqlite";

/** The audit records of a data directory. */
export interface OpenAuditStore {
  readonly store: AuditStore;
  readonly sealing: Sealing;
  close(): void;
}

/**
 * Opens the audit records of a data directory.
 *
 * @throws CommandError when they cannot be opened.
 */
export async function openAuditStore({ dataDir }: Pick<Settings, "dataDir">, pepper: Pepper): Promise<OpenAuditStore> {
  const database = await openDatabase(dataDir, auditFile);
  const digests = { sha256: sha256Hex, hmacSha256: hmacSha256Hex, constantTimeEqual };
  return { store: createSqliteAuditStore(database), sealing: { digests, pepper }, close: () => database.close() };
}

/**
 * Begins the chain of this process.
 *
 * @throws CommandError when the records cannot be opened.
 */
export async function openAudit(settings: Pick<Settings, "dataDir">, pepper: Pepper): Promise<OpenAuditLog> {
  const { store, sealing, close } = await openAuditStore(settings, pepper);
  const log = await openAuditLog({
    ...sealing,
    store,
    clock: systemClock,
    writer: randomId("writer"),
    version,
    defer: (run) => void setImmediate(run),
  });
  return {
    append: log.append,
    end: log.end,
    async close() {
      await log.close();
      close();
    },
  };
}
