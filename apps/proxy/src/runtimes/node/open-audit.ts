import { join } from "node:path";
import { constantTimeEqual, hmacSha256Hex, randomId, sha256Hex, systemClock } from "@letta-environments/platform/node";
import { createSqliteAuditStore } from "../../adapters/sqlite-audit-store.ts";
import { type OpenAuditLog, openAuditLog } from "../../audit/audit-log.ts";
import type { AuditStore } from "../../audit/audit-store.ts";
import type { Sealing } from "../../audit/chain.ts";
import type { Settings } from "../../config/settings.ts";
import type { Pepper } from "../../ports.ts";
import { version } from "../../version.ts";
import { CommandError } from "./command-error.ts";
import { guardAuditStore } from "./guard-audit-store.ts";
import { openStore } from "./open-database.ts";

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
 * @throws CommandError when they cannot be opened or written.
 */
export async function openAuditStore({ dataDir }: Pick<Settings, "dataDir">, pepper: Pepper): Promise<OpenAuditStore> {
  const { store: plain, database } = await openStore(dataDir, auditFile, createSqliteAuditStore);
  const digests = { sha256: sha256Hex, hmacSha256: hmacSha256Hex, constantTimeEqual };
  try {
    // SQLite waits on the only thread there is; the guard waits beside it.
    database.exec("PRAGMA busy_timeout = 10");
    const store = guardAuditStore(plain, join(dataDir, auditFile), systemClock.now);
    return { store, sealing: { digests, pepper }, close: () => database.close() };
  } catch (cause) {
    database.close();
    throw unusable(dataDir, cause);
  }
}

/**
 * Begins the chain of this process.
 *
 * @throws CommandError when the records cannot be opened.
 */
export async function openAudit(settings: Pick<Settings, "dataDir">, pepper: Pepper): Promise<OpenAuditLog> {
  const { store, sealing, close } = await openAuditStore(settings, pepper);
  const opening = openAuditLog({
    ...sealing,
    store,
    clock: systemClock,
    writer: randomId("writer"),
    version,
    defer: (run) => void setImmediate(run),
  });
  const log = await opening.catch((cause: unknown) => {
    close();
    throw unusable(settings.dataDir, cause);
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

function unusable(dataDir: string, cause: unknown): CommandError {
  const reason = cause instanceof Error ? cause.message : String(cause);
  return new CommandError(`${join(dataDir, auditFile)} cannot be written: ${reason}`, 1, { cause });
}
