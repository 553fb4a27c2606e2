import { DurableObject, type DurableObjectContext } from "cloudflare:workers";
import type { Clock } from "@letta-environments/platform";
import { openDurableSqlite, systemClock } from "@letta-environments/platform/cloudflare";
import type { RateLimitDemand } from "../../rate-limit/rate-limit-policy.ts";
import type { RateLimitOutcome, RateLimitTakeOptions } from "../../rate-limit/rate-limit-store.ts";
import type { SqliteRateLimitStore } from "../sqlite-rate-limit-store.ts";

/** What the gateway asks of {@link RateLimitObject}, as it is called from elsewhere. */
export interface RateLimitObjectStub {
  take(demands: readonly RateLimitDemand[], options: RateLimitTakeOptions): Promise<RateLimitOutcome>;
  release(leaseId: string, demands: readonly RateLimitDemand[]): Promise<void>;
}

/** How long an object is left alone at least before it looks for what counts no more, in milliseconds. */
const sweepAfterMs = 3_600_000;

/**
 * A Durable Object that counts the limits of one shard: whatever a request asks for at once is decided in it, in one step. One that is never asked
 * again (an address that failed to authenticate once) empties itself, so that it costs nothing any more.
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

  async take(demands: readonly RateLimitDemand[], options: RateLimitTakeOptions): Promise<RateLimitOutcome> {
    const store = await this.#open();
    return store().take(demands, options);
  }

  async release(leaseId: string, demands: readonly RateLimitDemand[]): Promise<void> {
    const store = await this.#open();
    store().release(leaseId, demands);
  }

  async alarm(): Promise<void> {
    const store = await this.#open();
    const lastMs = store().sweep();
    if (lastMs !== null) return this.#sweepAfter(lastMs - this.#clock.now());
    // Tables, the alarm and the object itself: the next request makes them anew.
    this.#store = null;
    await this.#storage.deleteAll();
  }

  /** What counts is loaded in objects alone: an isolate that only serves callers has no use for it. What this gives must be called at once. */
  async #open(): Promise<() => SqliteRateLimitStore> {
    const { createSqliteRateLimitStore } = await import("../sqlite-rate-limit-store.ts");
    return () => {
      if (this.#store !== null) return this.#store;
      this.#store = createSqliteRateLimitStore(openDurableSqlite(this.#storage), this.#clock, null);
      void this.#sweepAfter(sweepAfterMs);
      return this.#store;
    };
  }

  /** By the platform's clock, which is whose alarm it is. */
  #sweepAfter(delayMs: number): Promise<void> {
    return this.#storage.setAlarm(systemClock.now() + Math.max(delayMs, sweepAfterMs));
  }
}
