/**
 * Counts rate limits in Durable Objects, one for each shard. `chooseShards` puts all checks of a request into the same shard, so that
 * one object decides them in one atomic step and each counter is in one object only.
 */
import type { RateLimitCheck } from "../../rate-limit/policy.ts";
import type { RateLimitOutcome, RateLimitStore, RateLimitTakeOptions } from "../../rate-limit/store.ts";
import type { ObjectNamespace } from "./object-namespace.ts";

/** The remote interface of `RateLimitObject`. */
export interface RateLimitObjectStub {
  take(checks: readonly RateLimitCheck[], options: RateLimitTakeOptions): Promise<RateLimitOutcome>;
  release(leaseId: string, checks: readonly RateLimitCheck[]): Promise<void>;
}

/**
 * Creates a store on a namespace of `RateLimitObject`.
 *
 * @param background Keeps work alive after the response: leases are released then.
 */
export function createDurableRateLimitStore(
  limits: ObjectNamespace<RateLimitObjectStub>,
  background: (work: Promise<unknown>) => void,
): RateLimitStore {
  // Two shards with the same name would do no harm: an object counts by policy and key.
  const objectOf = ([first]: readonly RateLimitCheck[]): RateLimitObjectStub =>
    limits.getByName(`shard ${first?.shard ?? ""}`);
  return {
    // A stub returns a thenable, not a `Promise`.
    take: async (checks, options) => objectOf(checks).take(checks, options),
    async release(leaseId, checks) {
      const released = Promise.resolve(objectOf(checks).release(leaseId, checks));
      background(released.catch(() => undefined));
      await released;
    },
  };
}
