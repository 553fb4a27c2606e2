/**
 * Opens the audit log in the data directory: its records for commands that read them, and the log to which a process appends. The same
 * file remembers sends to a remote upstream, so that a send and its record are committed together, and a back-up has both or neither.
 */
import { join } from "node:path";
import { CommandError } from "@letta-environments/command-line";
import { randomId, systemClock } from "@letta-environments/platform/node";
import { createGroupCommit } from "@letta-environments/platform";
import type { LogEvent } from "../../adapters/log-event.ts";
import { createFileGuard } from "../../adapters/node/audit-file.ts";
import { auditFile, describeUnusable } from "../../adapters/node/data-dir.ts";
import { openStore, type StoreOptions } from "../../adapters/node/open-store.ts";
import { createSqliteAuditRetention, createSqliteAuditStore } from "../../adapters/sqlite/audit-store.ts";
import { createCapacityShare } from "../../adapters/sqlite/capacity-share.ts";
import { createSqliteIdempotencyStore } from "../../adapters/sqlite/idempotency-store.ts";
import { defaultCapacity } from "../../adapters/sqlite/idempotency-tables.ts";
import type { Sealing } from "../../audit/chain.ts";
import { openAuditLog, type OpenAuditLog } from "../../audit/log.ts";
import { dropOldRecords, retentionNow, type RetentionResult } from "../../audit/retention.ts";
import type { AuditTail } from "../../audit/search.ts";
import type { AuditStore } from "../../audit/store.ts";
import type { Settings } from "../../config/settings.ts";
import type { IdempotencyStore } from "../../idempotency/store.ts";
import { closeInOrder } from "../../lib/open-in-order.ts";
import type { KeyActor } from "../../keys/key-record.ts";
import type { Pepper } from "../../ports.ts";
import { version } from "../../version.ts";
import { digests } from "./keys.ts";

/** Returns the hashes and the pepper that seal and verify a log. */
export function sealingOf(pepper: Pepper): Sealing {
  return { digests, pepper };
}

/** The audit records of a data directory. */
export interface OpenAuditStore {
  readonly store: AuditStore & { readonly tail: AuditTail };
  readonly sealing: Sealing;
  close(): void;
}

/**
 * Opens the audit records of a data directory.
 *
 * @throws CommandError if they cannot be opened or written
 */
export async function openAuditStore({ dataDir }: Pick<Settings, "dataDir">, pepper: Pepper): Promise<OpenAuditStore> {
  const { store, database } = await openAuditFile(dataDir);
  return { store, sealing: sealingOf(pepper), close: () => database.close() };
}

/** The audit log of this process, in its file. */
export interface OpenAudit extends OpenAuditLog {
  /** The stored records, for a search. */
  readonly tail: AuditTail;
  /** When the newest record of earlier processes was written, in epoch milliseconds; `null` without earlier records. */
  readonly newestBefore: number | null;
  /** Creates the store of sends in the same file. */
  createSendStore(): IdempotencyStore;
  /** Drops the records before a time, in epoch milliseconds, and records that. Rejects when the file cannot be written. */
  dropBefore(before: number, actor: KeyActor | null): Promise<RetentionResult>;
}

/**
 * Opens the audit log and begins the hash chain of this process.
 *
 * @throws CommandError if the records cannot be opened
 */
export async function openAudit(
  { dataDir }: Pick<Settings, "dataDir">,
  pepper: Pepper,
  options?: StoreOptions,
): Promise<OpenAudit> {
  const { store, database } = await openAuditFile(dataDir, options);
  try {
    const guard = createFileGuard(join(dataDir, auditFile), systemClock.monotonic);
    const transactions = createGroupCommit(database, { guard, defer: setImmediate });
    const times = store.tail.writers().map(({ lastTime }) => lastTime);
    const newestBefore = times.length === 0 ? null : times.reduce((newest, time) => Math.max(newest, time));
    const writer = randomId("writer");
    const log = await openAuditLog({ digests, pepper, store, transactions, clock: systemClock, writer, version });
    return {
      ...log,
      tail: store.tail,
      newestBefore,
      createSendStore() {
        const share = createCapacityShare(database, systemClock, defaultCapacity);
        return createSqliteIdempotencyStore(database, transactions, systemClock, { guard, share });
      },
      async dropBefore(before, actor) {
        const retention = createSqliteAuditRetention(database);
        const result = await dropOldRecords(retention, transactions, sealingOf(pepper), before);
        const { records, chains } = result;
        if (records > 0) await log.append({ type: "records_dropped", actor, before, records, chains });
        return result;
      },
      async close() {
        await closeInOrder([log.close, database.close]);
      },
    };
  } catch (cause) {
    database.close();
    const reason = describeUnusable(cause, dataDir);
    throw new CommandError(`${join(dataDir, auditFile)} cannot be written: ${reason}`, 1, { cause });
  }
}

async function openAuditFile(dataDir: string, options?: StoreOptions) {
  const opened = await openStore(dataDir, auditFile, createSqliteAuditStore, options);
  // A busy SQLite would block the event loop, so it gives up almost immediately and the guard waits instead.
  opened.database.exec("PRAGMA busy_timeout = 10");
  return opened;
}

const dayMs = 86_400_000;

/** Shortly after the start, which needs the disk for other work. */
const firstDelayMs = 60_000;

/**
 * Drops old records of the audit log while the gateway runs, if the settings say so: after the start, and then once a day. Returns a function that
 * ends it.
 */
export function keepAuditRetention(
  audit: Pick<OpenAudit, "dropBefore" | "newestBefore">,
  settings: () => Pick<Settings, "auditRetentionDays">,
  log: (event: LogEvent) => void,
): () => void {
  const startedAtMs = systemClock.monotonic();
  const newestMs = audit.newestBefore ?? systemClock.now();
  let cancel = systemClock.setTimer(firstDelayMs, drop);

  function drop(): void {
    cancel = systemClock.setTimer(dayMs, drop);
    const { auditRetentionDays: days } = settings();
    if (days === null) return;
    const elapsedMs = systemClock.monotonic() - startedAtMs;
    const now = retentionNow({ nowMs: systemClock.now(), newestMs, elapsedMs });
    audit.dropBefore(now - days * dayMs, null).then(
      ({ records, chains, damaged }) => {
        if (records > 0) log({ type: "audit_records_dropped", records, chains });
        if (damaged !== null) log({ type: "audit_failed", requestId: "-", cause: notIntact });
      },
      (cause: unknown) => log({ type: "audit_failed", requestId: "-", cause }),
    );
  }

  return () => cancel();
}

const notIntact = "the audit log is not intact, so its old records are kept: see 'letta-proxy audit verify'";
