import { DurableObject, type DurableObjectContext } from "cloudflare:workers";
import type { Clock } from "@letta-environments/platform";
import { openDurableSqlite, systemClock } from "@letta-environments/platform/cloudflare";
import type { RateLimitDemand } from "../../rate-limit/rate-limit-policy.ts";
import type { LocalRateLimitStore, RateLimitOutcome, RateLimitTakeOptions } from "../../rate-limit/rate-limit-store.ts";

/** What the gateway asks of {@link RateLimitObject}, as it is called from elsewhere. */
export interface RateLimitObjectStub {
  take(demands: readonly RateLimitDemand[], options: RateLimitTakeOptions): Promise<RateLimitOutcome>;
  release(leaseId: string, demands: readonly RateLimitDemand[]): Promise<void>;
}

/** A Durable Object that counts the limits of one shard: whatever a request asks for at once is decided in it, in one step. */
export class RateLimitObject extends DurableObject {
  readonly #storage: DurableObjectContext["storage"];
  readonly #clock: Clock;
  #store: LocalRateLimitStore | null = null;

  constructor(ctx: DurableObjectContext, env: unknown, clock: Clock = systemClock) {
    super(ctx, env);
    this.#storage = ctx.storage;
    this.#clock = clock;
  }

  async take(demands: readonly RateLimitDemand[], options: RateLimitTakeOptions): Promise<RateLimitOutcome> {
    return (this.#store ?? (await this.#open())).take(demands, options);
  }

  async release(leaseId: string, demands: readonly RateLimitDemand[]): Promise<void> {
    (this.#store ?? (await this.#open())).release(leaseId, demands);
  }

  /** What counts is loaded in objects alone: an isolate that only serves callers has no use for it. */
  async #open(): Promise<LocalRateLimitStore> {
    const { createSqliteRateLimitStore } = await import("../sqlite-rate-limit-store.ts");
    this.#store ??= createSqliteRateLimitStore(openDurableSqlite(this.#storage), this.#clock, null);
    return this.#store;
  }
}
