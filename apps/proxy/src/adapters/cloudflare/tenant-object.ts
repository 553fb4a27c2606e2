/**
 * The Durable Objects that decide sends and rate limits, each in one call. Isolates call them through `tenant-calls.ts` and `rate-limit-store.ts`.
 */
import type { GroupCommit } from "@letta-environments/platform";
import { type DurableStorage, openDurableSqlite, systemClock } from "@letta-environments/platform/cloudflare";
import { DurableObject, type DurableObjectContext } from "cloudflare:workers";
import type { AuditEntry } from "../../audit/entry.ts";
import type { OpenAuditLog } from "../../audit/log.ts";
import type {
  IdempotencyStore,
  KnownConnection,
  KnownEntry,
  Reservation,
  ReserveOutcome,
  SendResult,
  SendScope,
} from "../../idempotency/store.ts";
import type { RateLimitCheck } from "../../rate-limit/policy.ts";
import type { RateLimitTakeOptions } from "../../rate-limit/store.ts";
import { auditTables } from "../sqlite/audit-migrations.ts";
import { createSqliteIdempotencyStore } from "../sqlite/idempotency-store.ts";
import { defaultCapacity, openSendTables, sendTables, type SendTablesOptions } from "../sqlite/idempotency-tables.ts";
import {
  createSqliteRateLimitStore,
  type GrantingOutcome,
  type SqliteRateLimitStore,
} from "../sqlite/rate-limit-store.ts";
import { createObjectTransactions, openObjectAuditLog } from "./audit-object.ts";
import { type AuditObjectBindings, dropOldObjectRecords } from "./audit-retention.ts";
import type { ObjectStub } from "./object-call.ts";

/** The shortest time between two alarms if nothing more has expired, and the pause between them if something has, in milliseconds. */
const pruneAfterMs = 3_600_000;
const pruneAgainMs = 1_000;
/** Expired rows of each table that one alarm removes. */
const rowsPerAlarm = 5_000;

/** The remote methods of {@link TenantObject}. */
export type TenantObjectStub = ObjectStub<
  Pick<TenantObject, "take" | "reserve" | "find" | "findConnection" | "conclude">
>;

/** The remote methods of {@link RateLimitObject}. */
export type RateLimitObjectStub = ObjectStub<Pick<RateLimitObject, "take" | "release">>;

/** The records and leases that end together with a send. */
export interface SendEnd {
  readonly stored?: StoredEnd | undefined;
  readonly entry?: AuditEntry;
  readonly leases: readonly HeldLease[];
  /** Set if the object was restarted during the first call, which may have taken effect. */
  readonly isRepeat?: true;
}

export interface StoredEnd {
  readonly reservation: Reservation;
  /** `null`: nothing was delivered, and its ids are released. */
  readonly result: SendResult | null;
}

/** A lease of concurrent requests. */
export interface HeldLease {
  readonly leaseId: string;
  readonly checks: readonly RateLimitCheck[];
}

/** Why a part of a {@link SendEnd} failed; `null` if it did not. */
export interface SendEndOutcome {
  readonly storeFailure: string | null;
  readonly auditFailure: string | null;
}

/** The stores that an object opens with its first send. */
interface OpenSends {
  readonly store: IdempotencyStore;
  readonly commit: GroupCommit;
}

/**
 * The Durable Object of one tenant, in its own SQLite database: its sends, the audit log of them, and its rate limits, so that one call can do
 * everything that a send needs at a time. A response leaves the object once its writes are on disk. An object whose rows have all expired, and that
 * never had an audit record, deletes its storage, so that it costs nothing.
 */
export class TenantObject extends DurableObject<AuditObjectBindings> {
  readonly #storage = this.ctx.storage;
  readonly #options: SendTablesOptions;
  #limits: SqliteRateLimitStore | null = null;
  #sends: OpenSends | null = null;
  #log: Promise<OpenAuditLog> | null = null;
  #hasAlarm = false;

  constructor(
    ctx: DurableObjectContext,
    env: AuditObjectBindings,
    options: SendTablesOptions = { clock: systemClock, capacity: defaultCapacity },
  ) {
    super(ctx, env);
    this.#options = options;
  }

  take(
    checks: readonly RateLimitCheck[],
    options: RateLimitTakeOptions,
    requested: readonly number[] = [],
  ): GrantingOutcome {
    return this.#openLimits().takeAndGrant(checks, options, requested);
  }

  /** Reserves the ids of a send and, in the same transaction, records its start. */
  async reserve(reservation: Reservation, started?: AuditEntry): Promise<ReserveOutcome> {
    const { store } = this.#openSends();
    if (started === undefined) return store.reserve(reservation);
    const log = await this.#openLog();
    return store.reserve(reservation, () => log.appendInTransaction(started));
  }

  find(scope: SendScope, ids: readonly string[]): Promise<readonly KnownEntry[]> {
    return this.#openSends().store.find(scope, ids);
  }

  findConnection(tenant: string, connectionId: string): Promise<KnownConnection | null> {
    return this.#openSends().store.findConnection(tenant, connectionId);
  }

  /** Ends a send: stores its result, records its end and releases its leases. Each part is optional, and one failure does not affect the others. */
  async conclude({ stored, entry, leases, isRepeat }: SendEnd): Promise<SendEndOutcome> {
    for (const { leaseId, checks } of leases) this.#openLimits().release(leaseId, checks);
    const store = stored === undefined ? null : this.#openSends().store;
    if (isRepeat && store !== null && stored !== undefined && !(await isOpen(store, stored.reservation)))
      return noFailure;
    const [storing, recording] = await Promise.allSettled([
      stored?.result === null
        ? store?.release(stored.reservation)
        : stored && store?.settle(stored.reservation, stored.result),
      entry && this.#record(entry),
    ]);
    return { storeFailure: failureOf(storing), auditFailure: failureOf(recording) };
  }

  async alarm(): Promise<void> {
    const auditMs = await dropOldObjectRecords(this.#storage, this.env, this.#options.clock.now());
    this.#hasAlarm = false;
    const limitsMs = this.#limitStore().sweep();
    const hasSends = this.#exists("SELECT 1 FROM sqlite_master WHERE name = 'send_ids'");
    const sendsMs = hasSends ? this.#pruneSends() : null;
    const dueMs = [limitsMs, sendsMs].filter((ms) => ms !== null).map((ms) => Math.max(ms, pruneAfterMs));
    if (sendsMs !== null && sendsMs <= 0) dueMs.push(pruneAgainMs);
    if (auditMs !== null) dueMs.push(auditMs);
    if (dueMs.length > 0) return this.#setAlarm(Math.min(...dueMs));
    if (hasSends && this.#exists("SELECT 1 FROM audit_heads LIMIT 1")) return undefined;
    // This deletes the tables. The next call creates them again.
    [this.#limits, this.#sends, this.#log] = [null, null, null];
    return this.#storage.deleteAll();
  }

  #exists(sql: string): boolean {
    return this.#storage.sql.exec(sql).toArray().length > 0;
  }

  /** Removes sends that have expired. Returns in how many milliseconds the next ones expire; `null` if none remain. */
  #pruneSends(): number | null {
    const tables = openSendTables(openDurableSqlite(this.#storage), this.#options);
    return this.#storage.transactionSync(() => {
      tables.begin();
      return tables.prune(rowsPerAlarm);
    });
  }

  #openLimits(): SqliteRateLimitStore {
    void this.#ensureAlarm();
    return this.#limitStore();
  }

  #limitStore(): SqliteRateLimitStore {
    const clock = { ...systemClock, ...this.#options.clock };
    this.#limits ??= createSqliteRateLimitStore(openDurableSqlite(this.#storage), clock, null);
    return this.#limits;
  }

  #openSends(): OpenSends {
    void this.#ensureAlarm();
    this.#sends ??= openSends(this.#storage, this.#options);
    return this.#sends;
  }

  /** The first entry after each start of the object begins a new chain, as in a process. */
  async #openLog(): Promise<OpenAuditLog> {
    this.#log ??= openObjectAuditLog(this.#storage, this.#openSends().commit, this.env);
    try {
      return await this.#log;
    } catch (cause) {
      this.#log = null;
      throw cause;
    }
  }

  async #record(entry: AuditEntry): Promise<void> {
    await (await this.#openLog()).append(entry);
  }

  /** Keeps the alarm of an earlier start. If each start postponed it, an object that starts often would never be pruned. */
  async #ensureAlarm(): Promise<void> {
    if (this.#hasAlarm) return;
    this.#hasAlarm = true;
    try {
      if ((await this.#storage.getAlarm()) === null) await this.#setAlarm(pruneAfterMs);
    } catch {
      // The next call tries again.
      this.#hasAlarm = false;
    }
  }

  /** Schedules the next alarm. Alarms use the platform's clock, even if this object uses another one. */
  #setAlarm(delayMs: number): Promise<void> {
    this.#hasAlarm = true;
    return this.#storage.setAlarm(systemClock.now() + delayMs);
  }
}

/**
 * The Durable Object of rate limits that belong to no tenant, such as those of an address. It uses only the limits of a tenant's object. An unused
 * object deletes its storage, so that it costs nothing.
 */
export class RateLimitObject extends TenantObject {
  async release(leaseId: string, checks: readonly RateLimitCheck[]): Promise<void> {
    await this.conclude({ leases: [{ leaseId, checks }] });
  }
}

function openSends(storage: DurableStorage, { clock, capacity }: SendTablesOptions): OpenSends {
  const database = openDurableSqlite(storage);
  database.transaction(() => database.exec(`${sendTables}${auditTables}`));
  const commit = createObjectTransactions(storage);
  return { store: createSqliteIdempotencyStore(database, commit, clock, { capacity }), commit };
}

const noFailure: SendEndOutcome = { storeFailure: null, auditFailure: null };

/** Whether a send has not ended yet. Its result and the record of its end are stored together. */
async function isOpen(store: IdempotencyStore, { scope, entries, sendId }: Reservation): Promise<boolean> {
  const found = await store.find(
    scope,
    entries.slice(0, 1).map(({ id }) => id),
  );
  return found.some((entry) => entry.sendId === sendId && entry.state.kind !== "finished");
}

function failureOf(result: PromiseSettledResult<unknown>): string | null {
  return result.status === "fulfilled" ? null : String(result.reason);
}
