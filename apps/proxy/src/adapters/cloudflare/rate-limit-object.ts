import { DurableObject, type DurableObjectContext } from "cloudflare:workers";
import type { Clock } from "@letta-environments/platform";
import { openDurableSqlite, systemClock } from "@letta-environments/platform/cloudflare";
import type { RateLimitDemand } from "../../rate-limit/rate-limit-policy.ts";
import type { LocalRateLimitStore, RateLimitOutcome, RateLimitTakeOptions } from "../../rate-limit/rate-limit-store.ts";
import { createSqliteRateLimitStore } from "../sqlite-rate-limit-store.ts";

/** What the gateway asks of {@link RateLimitObject}, as it is called from elsewhere. */
export interface RateLimitObjectStub {
  take(demands: readonly RateLimitDemand[], options: RateLimitTakeOptions): Promise<RateLimitOutcome>;
  release(leaseId: string, demands: readonly RateLimitDemand[]): Promise<void>;
}

/** A Durable Object that counts the limits of one shard: whatever a request asks for at once is decided in it, in one step. */
export class RateLimitObject extends DurableObject {
  readonly #store: LocalRateLimitStore;

  constructor(ctx: DurableObjectContext, env: unknown, clock: Clock = systemClock) {
    super(ctx, env);
    this.#store = createSqliteRateLimitStore(openDurableSqlite(ctx.storage), clock, null);
  }

  take(demands: readonly RateLimitDemand[], options: RateLimitTakeOptions): RateLimitOutcome {
    return this.#store.take(demands, options);
  }

  release(leaseId: string, demands: readonly RateLimitDemand[]): void {
    this.#store.release(leaseId, demands);
  }
}
