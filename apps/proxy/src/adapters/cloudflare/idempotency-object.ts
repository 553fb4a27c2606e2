import { type Clock, createSteadyNow } from "@letta-environments/platform";
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
import { defaultCapacity, openSendTables, sendTables, type SendTables } from "../sqlite/idempotency-tables.ts";

/** The least time between two alarms while nothing has expired, and the pause between two when more has, in milliseconds. */
const pruneAfterMs = 3_600_000;
const pruneAgainMs = 1_000;
/** Expired rows of each table that one alarm removes. */
const rowsPerAlarm = 5_000;
/** Rows that are changed at once when an object starts whose times are from the future. */
const rowsPerClamp = 1_000;

/** What a test replaces in a {@link SendObject}. */
export interface SendObjectOptions {
  readonly clock: Pick<Clock, "now" | "monotonic">;
  readonly capacity: number;
}

/** The tables of a {@link SendObject} that is in use, and its time. */
interface OpenTables extends SendTables {
  readonly now: () => number;
}

/**
 * The Durable Object that remembers the sends of one tenant, in its own SQLite database. A response leaves the object once its writes
 * are on disk. When nothing is remembered any more, the object deletes its storage, so that it costs nothing.
 */
export class SendObject extends DurableObject {
  readonly #storage: DurableObjectContext["storage"];
  readonly #options: SendObjectOptions;
  #tables: OpenTables | null = null;

  constructor(
    ctx: DurableObjectContext,
    env: unknown,
    options: SendObjectOptions = { clock: systemClock, capacity: defaultCapacity },
  ) {
    super(ctx, env);
    this.#storage = ctx.storage;
    this.#options = options;
  }

  reserve(reservation: Reservation): ReserveOutcome {
    return this.#run((tables, nowMs) => tables.reserve(reservation, nowMs));
  }

  find(scope: SendScope, ids: readonly string[]): readonly KnownEntry[] {
    return this.#run((tables, nowMs) => tables.find(scope, ids, nowMs));
  }

  settle(reservation: Reservation, result: SendResult): void {
    this.#run((tables, nowMs) => tables.settle(reservation, result, nowMs));
  }

  release(reservation: Reservation): void {
    this.#run((tables) => tables.release(reservation));
  }

  findConnection(tenant: string, connectionId: string): KnownConnection | null {
    return this.#run((tables, nowMs) => tables.findConnection(tenant, connectionId, nowMs));
  }

  async alarm(): Promise<void> {
    const { nextMs, nowMs } = this.#run((tables, time) => ({ nextMs: tables.prune(time, rowsPerAlarm), nowMs: time }));
    if (nextMs === null) {
      // This deletes the tables and the alarm. The next call creates them again.
      this.#tables = null;
      return this.#storage.deleteAll();
    }
    return this.#pruneAfter(nextMs <= nowMs ? pruneAgainMs : Math.max(nextMs - nowMs, pruneAfterMs));
  }

  #run<Result>(run: (tables: SendTables, nowMs: number) => Result): Result {
    const tables = this.#open();
    return this.#storage.transactionSync(() => run(tables, tables.now()));
  }

  #open(): OpenTables {
    if (this.#tables !== null) return this.#tables;
    const database = openDurableSqlite(this.#storage);
    database.transaction(() => database.exec(sendTables));
    const tables = openSendTables(database, this.#options.capacity);
    const now = createSteadyNow(this.#options.clock);
    while (database.transaction(() => tables.clamp(now(), rowsPerClamp)) > 0);
    void this.#pruneAfter(pruneAfterMs);
    return (this.#tables = { ...tables, now });
  }

  /** Schedules the next alarm. Alarms go by the platform's clock, even if this object has another one. */
  #pruneAfter(delayMs: number): Promise<void> {
    return this.#storage.setAlarm(systemClock.now() + delayMs);
  }
}
