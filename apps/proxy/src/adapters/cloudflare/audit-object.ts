/**
 * Audit logs inside Durable Objects: the object for changes of keys, and how any object opens its chain and writes in transactions.
 * `tenant-object.ts` uses the latter for sends. Isolates call them through `tenant-calls.ts`.
 */
import { DurableObject } from "cloudflare:workers";
import type { GroupCommit, TransactionHooks } from "@letta-environments/platform";
import { type DurableStorage, openDurableSqlite, randomId, systemClock } from "@letta-environments/platform/cloudflare";
import type { AuditEntry } from "../../audit/entry.ts";
import { type OpenAuditLog, openAuditLog } from "../../audit/log.ts";
import { version } from "../../version.ts";
import { auditTables } from "../sqlite/audit-migrations.ts";
import { createSqliteAuditChains } from "../sqlite/audit-store.ts";
import { type AuditObjectBindings, dayMs, dropOldObjectRecords, sealingOf } from "./audit-retention.ts";

/**
 * The Durable Object that has the audit log of changes of keys: one for all gateways. Sends are in the log of their tenant
 * (`tenant-object.ts`). The first entry after each start begins a new chain, as in a process, and records the ends of the earlier chains.
 * A response leaves the object once its writes are on disk.
 */
export class AuditObject extends DurableObject<AuditObjectBindings> {
  readonly #storage = this.ctx.storage;
  #opening: Promise<OpenAuditLog> | null = null;

  async append(entry: AuditEntry): Promise<void> {
    this.#opening ??= this.#open();
    const log = await this.#opening;
    await log.append(entry);
  }

  /** Drops old records. */
  async alarm(): Promise<void> {
    const nowMs = systemClock.now();
    const dueMs = await dropOldObjectRecords(this.#storage, this.env, nowMs);
    if (dueMs !== null) await this.#storage.setAlarm(nowMs + dueMs);
  }

  async #open(): Promise<OpenAuditLog> {
    try {
      if ((await this.#storage.getAlarm()) === null) await this.#storage.setAlarm(systemClock.now() + dayMs);
      return await openObjectAuditLog(this.#storage, createObjectTransactions(this.#storage), this.env);
    } catch (cause) {
      this.#opening = null;
      throw cause;
    }
  }
}

/**
 * Creates the transactions of an object. Changes do not wait for each other: the platform writes the changes of an object together,
 * and holds its responses until then.
 */
export function createObjectTransactions(storage: DurableStorage): GroupCommit {
  const allHooks: TransactionHooks[] = [];
  return {
    async write(run) {
      let isCommitted = false;
      try {
        const result = storage.transactionSync(() => {
          for (const hooks of allHooks) hooks.begin?.();
          const changed = run();
          for (const hooks of allHooks) hooks.complete?.();
          return changed;
        });
        isCommitted = true;
        return result;
      } finally {
        for (const hooks of allHooks) hooks.settled?.(isCommitted);
      }
    },
    addHooks: (hooks) => void allHooks.push(hooks),
  };
}

/** Begins a chain in the database of an object. Rejects when it cannot be stored. */
export function openObjectAuditLog(
  storage: DurableStorage,
  transactions: GroupCommit,
  bindings: AuditObjectBindings,
): Promise<OpenAuditLog> {
  const database = openDurableSqlite(storage);
  database.transaction(() => database.exec(auditTables));
  return openAuditLog({
    store: createSqliteAuditChains(database, true),
    transactions,
    clock: systemClock,
    writer: randomId("writer"),
    version,
    ...sealingOf(bindings),
  });
}
