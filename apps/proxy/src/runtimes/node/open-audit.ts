import { statSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { isSqliteBusy } from "@letta-environments/platform";
import { constantTimeEqual, hmacSha256Hex, randomId, sha256Hex, systemClock } from "@letta-environments/platform/node";
import { createSqliteAuditStore } from "../../adapters/sqlite/audit-store.ts";
import { openAuditLog, type OpenAuditLog } from "../../audit/log.ts";
import type { AuditStore } from "../../audit/store.ts";
import type { Sealing } from "../../audit/chain.ts";
import type { Settings } from "../../config/settings.ts";
import type { Pepper } from "../../ports.ts";
import { version } from "../../version.ts";
import { CommandError } from "@letta-environments/command-line";
import { openStore } from "./data-dir.ts";

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

/** How long another process may hold the file, and how often it is tried meanwhile, in milliseconds. */
const patienceMs = 5_000;
const pauseMs = 20;

/**
 * An audit store that writes to the file that lies at its path, or not at all: what goes into a file that was taken away is in nobody's log.
 * While another process holds the file the gateway goes on with everything else.
 */
export function guardAuditStore(store: AuditStore, path: string, now: () => number): AuditStore {
  const opened = identityOf(path);

  async function write(run: () => Promise<void>): Promise<void> {
    const until = now() + patienceMs;
    for (;;) {
      if (identityOf(path) !== opened) throw new Error(`${path} is not the file that was opened`);
      try {
        return await run();
      } catch (cause) {
        if (!isSqliteBusy(cause) || now() >= until) throw cause;
      }
      await delay(pauseMs);
    }
  }

  return {
    ...store,
    open: (begin) => write(() => store.open(begin)),
    append: (records, head) => write(() => store.append(records, head)),
  };
}

function identityOf(path: string): string | null {
  const stats = statSync(path, { throwIfNoEntry: false });
  return stats === undefined ? null : `${stats.dev}:${stats.ino}`;
}
