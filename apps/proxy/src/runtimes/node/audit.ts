/** Opens the audit log in the data directory: its records for commands that read them, and the log to which a process appends. */
import { join } from "node:path";
import { CommandError } from "@letta-environments/command-line";
import { constantTimeEqual, hmacSha256Hex, randomId, sha256Hex, systemClock } from "@letta-environments/platform/node";
import { createFileGuard, guardAuditFile } from "../../adapters/node/audit-file.ts";
import { auditFile, openStore } from "../../adapters/node/data-dir.ts";
import { createSqliteAuditStore } from "../../adapters/sqlite/audit-store.ts";
import type { Sealing } from "../../audit/chain.ts";
import { openAuditLog, type OpenAuditLog } from "../../audit/log.ts";
import type { AuditStore } from "../../audit/store.ts";
import type { Settings } from "../../config/settings.ts";
import type { Pepper } from "../../ports.ts";
import { version } from "../../version.ts";

/** The audit records of a data directory. */
export interface OpenAuditStore {
  readonly store: AuditStore;
  readonly sealing: Sealing;
  close(): void;
}

/**
 * Opens the audit records of a data directory.
 *
 * @throws CommandError if they cannot be opened or written
 */
export async function openAuditStore({ dataDir }: Pick<Settings, "dataDir">, pepper: Pepper): Promise<OpenAuditStore> {
  const { store: plain, database } = await openStore(dataDir, auditFile, createSqliteAuditStore);
  const digests = { sha256: sha256Hex, hmacSha256: hmacSha256Hex, constantTimeEqual };
  try {
    // A busy SQLite blocks the event loop, so it returns almost at once and the guard waits instead.
    database.exec("PRAGMA busy_timeout = 10");
    const store = guardAuditFile(plain, createFileGuard(join(dataDir, auditFile), systemClock.monotonic));
    return { store, sealing: { digests, pepper }, close: () => database.close() };
  } catch (cause) {
    database.close();
    throw unusable(dataDir, cause);
  }
}

/**
 * Opens the audit log and begins the hash chain of this process.
 *
 * @throws CommandError if the records cannot be opened
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
