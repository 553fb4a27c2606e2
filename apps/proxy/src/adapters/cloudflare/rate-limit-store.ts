import type { Clock } from "@letta-environments/platform";
import { openDurableSqlite, systemClock } from "@letta-environments/platform/cloudflare";
import { DurableObject, type DurableObjectContext } from "cloudflare:workers";
import type { RateLimitCheck } from "../../rate-limit/policy.ts";
import type { RateLimitOutcome, RateLimitStore, RateLimitTakeOptions } from "../../rate-limit/store.ts";
import { createSqliteRateLimitStore, type SqliteRateLimitStore } from "../sqlite/rate-limit-store.ts";
import type { ObjectNamespace } from "./object-namespace.ts";

/** What the gateway asks of {@link RateLimitObject}, as it is called from elsewhere. */
export interface RateLimitObjectStub {
  take(checks: readonly RateLimitCheck[], options: RateLimitTakeOptions): Promise<RateLimitOutcome>;
  release(leaseId: string, checks: readonly RateLimitCheck[]): Promise<void>;
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

  take(checks: readonly RateLimitCheck[], options: RateLimitTakeOptions): RateLimitOutcome {
    return this.#open().take(checks, options);
  }

  release(leaseId: string, checks: readonly RateLimitCheck[]): void {
    this.#open().release(leaseId, checks);
  }

  async alarm(): Promise<void> {
    const lastMs = this.#open().sweep();
    if (lastMs !== null) return this.#sweepAfter(lastMs - this.#clock.now());
    // Tables, the alarm and the object itself: the next request makes them anew.
    this.#store = null;
    await this.#storage.deleteAll();
  }

  #open(): SqliteRateLimitStore {
    if (this.#store !== null) return this.#store;
    this.#store = createSqliteRateLimitStore(openDurableSqlite(this.#storage), this.#clock, null);
    void this.#sweepAfter(sweepAfterMs);
    return this.#store;
  }

  /** By the platform's clock, which is whose alarm it is. */
  #sweepAfter(delayMs: number): Promise<void> {
    return this.#storage.setAlarm(systemClock.now() + Math.max(delayMs, sweepAfterMs));
  }
}

/**
 * Limits in Durable Objects: one for each shard that `chooseShards` gives the checks of a request, so that all of them are decided in one step and
 * each count lies in one place alone.
 *
 * @param background keeps work alive that outlasts the answer to the request at hand: leases are given back behind it.
 */
export function createDurableRateLimitStore(
  limits: ObjectNamespace<RateLimitObjectStub>,
  background: (work: Promise<unknown>) => void,
): RateLimitStore {
  // Names of shards cannot clash in earnest: what is counted in an object goes by policy and key.
  const objectOf = ([first]: readonly RateLimitCheck[]): RateLimitObjectStub =>
    limits.getByName(`shard ${first?.shard ?? ""}`);
  return {
    // What a stub gives is no Promise, only such as one can wait for.
    take: async (checks, options) => objectOf(checks).take(checks, options),
    async release(leaseId, checks) {
      const released = Promise.resolve(objectOf(checks).release(leaseId, checks));
      background(released.catch(() => undefined));
      await released;
    },
  };
}
