/**
 * Counts rate limits in Durable Objects (`RateLimitObject`), one for each shard. `chooseShards` puts all checks of a request into
 * the same shard, so that one object decides them in one atomic step and each counter is in one object only.
 */
import type { RateLimitCheck } from "../../rate-limit/policy.ts";
import type { RateLimitOutcome, RateLimitStore, RateLimitTakeOptions } from "../../rate-limit/store.ts";

/** The remote methods of `RateLimitObject`. */
export interface RateLimitObjectStub {
  take(checks: readonly RateLimitCheck[], options: RateLimitTakeOptions): Promise<RateLimitOutcome>;
  release(leaseId: string, checks: readonly RateLimitCheck[]): Promise<void>;
}

/**
 * Creates a store whose counters are in Durable Objects.
 *
 * @param objectOf Returns a stub of the object with this name. It is called for each request to the object.
 * @param background Keeps work alive after the response: leases are released then.
 */
export function createDurableRateLimitStore(
  objectOf: (name: string) => RateLimitObjectStub,
  background: (work: Promise<unknown>) => void,
): RateLimitStore {
  // Two shards with the same name would do no harm: an object counts by policy and key.
  const shardOf = ([first]: readonly RateLimitCheck[]): RateLimitObjectStub => objectOf(`shard ${first?.shard ?? ""}`);
  return {
    // A stub returns a thenable, not a `Promise`.
    take: async (checks, options) => shardOf(checks).take(checks, options),
    async release(leaseId, checks) {
      const released = Promise.resolve(shardOf(checks).release(leaseId, checks));
      background(released.catch(() => undefined));
      await released;
    },
  };
}
