import { openDurableSqlite, systemClock } from "@letta-environments/platform/cloudflare";
import { DurableObject, type DurableObjectContext } from "cloudflare:workers";
import type {
  KnownConnection,
  KnownEntry,
  Reservation,
  ReserveOutcome,
  SendResult,
  SendScope,
} from "../../idempotency/store.ts";
import {
  defaultCapacity,
  openSendTables,
  sendTables,
  type SendTables,
  type SendTablesOptions,
} from "../sqlite/idempotency-tables.ts";

/** The least time between two alarms while nothing has expired, and the pause between two when more has, in milliseconds. */
const pruneAfterMs = 3_600_000;
const pruneAgainMs = 1_000;
/** Expired rows of each table that one alarm removes. */
const rowsPerAlarm = 5_000;
/**
 * The Durable Object that remembers the sends of one tenant, in its own SQLite database. A response leaves the object once its writes
 * are on disk. When nothing is remembered any more, the object deletes its storage, so that it costs nothing.
 */
export class SendObject extends DurableObject {
  readonly #storage: DurableObjectContext["storage"];
  readonly #options: SendTablesOptions;
  #tables: SendTables | null = null;

  constructor(
    ctx: DurableObjectContext,
    env: unknown,
    options: SendTablesOptions = { clock: systemClock, capacity: defaultCapacity },
  ) {
    super(ctx, env);
    this.#storage = ctx.storage;
    this.#options = options;
  }

  reserve(reservation: Reservation): ReserveOutcome {
    return this.#run((tables) => tables.reserve(reservation));
  }

  find(scope: SendScope, ids: readonly string[]): readonly KnownEntry[] {
    return this.#run((tables) => tables.find(scope, ids));
  }

  settle(reservation: Reservation, result: SendResult): void {
    this.#run((tables) => tables.settle(reservation, result));
  }

  release(reservation: Reservation): void {
    this.#run((tables) => tables.release(reservation));
  }

  findConnection(tenant: string, connectionId: string): KnownConnection | null {
    return this.#run((tables) => tables.findConnection(tenant, connectionId));
  }

  async alarm(): Promise<void> {
    const remainingMs = this.#run((tables) => tables.prune(rowsPerAlarm));
    if (remainingMs === null) {
      // This deletes the tables and the alarm. The next call creates them again.
      this.#tables = null;
      return this.#storage.deleteAll();
    }
    return this.#pruneAfter(remainingMs <= 0 ? pruneAgainMs : Math.max(remainingMs, pruneAfterMs));
  }

  #run<Result>(run: (tables: SendTables) => Result): Result {
    const tables = this.#open();
    return this.#storage.transactionSync(() => {
      tables.begin();
      return run(tables);
    });
  }

  #open(): SendTables {
    if (this.#tables !== null) return this.#tables;
    const database = openDurableSqlite(this.#storage);
    database.transaction(() => database.exec(sendTables));
    this.#tables = openSendTables(database, this.#options);
    void this.#pruneAfter(pruneAfterMs);
    return this.#tables;
  }

  /** Schedules the next alarm. Alarms go by the platform's clock, even if this object has another one. */
  #pruneAfter(delayMs: number): Promise<void> {
    return this.#storage.setAlarm(systemClock.now() + delayMs);
  }
}
