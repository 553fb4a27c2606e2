import type { Clock } from "@letta-environments/platform";
import { openDurableSqlite, systemClock } from "@letta-environments/platform/cloudflare";
import { DurableObject, type DurableObjectContext } from "cloudflare:workers";
import type { RateLimitCheck } from "../../rate-limit/policy.ts";
import type { RateLimitTakeOptions } from "../../rate-limit/store.ts";
import {
  createSqliteRateLimitStore,
  type GrantingOutcome,
  type SqliteRateLimitStore,
} from "../sqlite/rate-limit-store.ts";

/** The least time between two sweeps of an object, in milliseconds. */
const sweepAfterMs = 3_600_000;

/**
 * The Durable Object of one rate-limit shard. It counts in its own SQLite database. An object that is no longer used, such as that
 * of an address that failed to authenticate once, deletes its storage, so that it costs nothing.
 */
export class RateLimitObject extends DurableObject {
  readonly #storage: DurableObjectContext["storage"];
  readonly #clock: Clock;
  #store: SqliteRateLimitStore | null = null;

  constructor(ctx: DurableObjectContext, env: unknown, clock: Clock = systemClock) {
    super(ctx, env);
    this.#storage = ctx.storage;
    this.#clock = clock;
  }

  take(
    checks: readonly RateLimitCheck[],
    options: RateLimitTakeOptions,
    wanted: readonly number[] = [],
  ): GrantingOutcome {
    return this.#open().takeAndGrant(checks, options, wanted);
  }

  release(leaseId: string, checks: readonly RateLimitCheck[]): void {
    this.#open().release(leaseId, checks);
  }

  async alarm(): Promise<void> {
    const remainingMs = this.#open().sweep();
    if (remainingMs !== null) return this.#sweepAfter(remainingMs);
    // This deletes the tables and the alarm. The next request creates them again.
    this.#store = null;
    await this.#storage.deleteAll();
  }

  #open(): SqliteRateLimitStore {
    if (this.#store !== null) return this.#store;
    this.#store = createSqliteRateLimitStore(openDurableSqlite(this.#storage), this.#clock, null);
    void this.#sweepAfter(sweepAfterMs);
    return this.#store;
  }

  /** Schedules the next sweep. Alarms go by the platform's clock, even if this object has another one. */
  #sweepAfter(delayMs: number): Promise<void> {
    return this.#storage.setAlarm(systemClock.now() + Math.max(delayMs, sweepAfterMs));
  }
}
