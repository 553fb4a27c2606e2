import type { RateLimitDemand } from "../../rate-limit/rate-limit-policy.ts";
import type { RateLimitStore } from "../../rate-limit/rate-limit-store.ts";
import type { ObjectNamespace } from "./object-namespace.ts";
import type { RateLimitObjectStub } from "./rate-limit-object.ts";

/**
 * Limits in Durable Objects: one for each shard that `chooseShards` gives the demands of a request, so that all of them are decided in one step and
 * each count lies in one place alone.
 *
 * @param background keeps work alive that outlasts the answer to the request at hand: leases are given back behind it.
 */
export function createDurableRateLimitStore(
  limits: ObjectNamespace<RateLimitObjectStub>,
  background: (work: Promise<unknown>) => void,
): RateLimitStore {
  // Names of shards cannot clash in earnest: what is counted in an object goes by policy and key.
  const objectOf = ([first]: readonly RateLimitDemand[]): RateLimitObjectStub =>
    limits.getByName(`shard ${first?.shard ?? ""}`);
  return {
    // What a stub gives is no Promise, only such as one can wait for.
    take: async (demands, options) => objectOf(demands).take(demands, options),
    async release(leaseId, demands) {
      const released = Promise.resolve(objectOf(demands).release(leaseId, demands));
      background(released.catch(() => undefined));
      await released;
    },
  };
}
