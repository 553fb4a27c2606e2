/**
 * Counts rate limits in Durable Objects, one for each shard: those of a tenant in its object (`TenantObject`), the others in a `RateLimitObject`.
 * `chooseShards` puts all checks of a request into the same shard, so that one object decides them in one atomic step and each counter is in one
 * object only. A busy isolate takes units in advance (`rate-limit/allowance.ts`), and decides most requests itself.
 */
import type { Clock } from "@letta-environments/platform";
import { type BoundedMap, createBoundedMap } from "../../lib/bounded-map.ts";
import {
  type Allowance,
  canHaveAllowances,
  countAndRequest,
  createAllowance,
  noteRequested,
  noteGranted,
  spendAllowances,
} from "../../rate-limit/allowance.ts";
import { mostConstrained } from "../../rate-limit/decide.ts";
import type { RateLimitCheck, RateLimitPolicy } from "../../rate-limit/policy.ts";
import type { RateLimitOutcome, RateLimitStore, RateLimitTakeOptions } from "../../rate-limit/store.ts";
import type { RateLimitObjectStub } from "./tenant-object.ts";

/** Partition keys of one policy whose allowances an isolate remembers. */
const maxAllowances = 10_000;

export interface DurableRateLimitStoreOptions {
  /** Returns a stub of the object that has this check and the others of its request. It is called for each request to the object. */
  readonly objectOf: (check: RateLimitCheck) => RateLimitObjectStub;
  readonly clock: Pick<Clock, "monotonic">;
  /** Keeps work alive after the response: leases are released then. */
  readonly background: (work: Promise<unknown>) => void;
}

/** Creates a store whose counters are in Durable Objects. `take` returns synchronously where allowances decide. */
export function createDurableRateLimitStore(options: DurableRateLimitStoreOptions): RateLimitStore {
  const { objectOf, clock, background } = options;
  const shardOf = ([first]: readonly RateLimitCheck[]): RateLimitObjectStub => {
    if (first === undefined) throw new TypeError("a request without checks has no shard");
    return objectOf(first);
  };
  const known = new WeakMap<RateLimitPolicy, BoundedMap<Allowance>>();

  function allowanceOf({ policy, key }: RateLimitCheck): Allowance {
    const ofPolicy = known.get(policy) ?? createBoundedMap<Allowance>(maxAllowances);
    const allowance = ofPolicy.get(key) ?? createAllowance();
    known.set(policy, ofPolicy);
    ofPolicy.set(key, allowance);
    return allowance;
  }

  async function takeFromObject(
    checks: readonly RateLimitCheck[],
    takeOptions: RateLimitTakeOptions,
    allowances: readonly Allowance[] = [],
    requested: readonly number[] = [],
  ): Promise<RateLimitOutcome> {
    const requestedAtMs = clock.monotonic();
    const asking = requested.length === 0 ? [] : allowances;
    noteRequested(asking, requestedAtMs);
    try {
      const { granted = [], ...outcome } = await shardOf(checks).take(checks, takeOptions, requested);
      noteGranted(asking, granted, outcome.decisions, requestedAtMs);
      return withOwnPolicies(outcome, checks);
    } catch (cause) {
      noteGranted(asking, [], [], requestedAtMs);
      throw cause;
    }
  }

  return {
    take(checks, takeOptions) {
      if (takeOptions.probe || !canHaveAllowances(checks)) return takeFromObject(checks, takeOptions);
      const nowMs = clock.monotonic();
      const allowances = checks.map(allowanceOf);
      const requested = countAndRequest(checks, allowances, nowMs);
      return spendAllowances(checks, allowances, nowMs) ?? takeFromObject(checks, takeOptions, allowances, requested);
    },
    async release(leaseId, checks) {
      // A stub returns a thenable, not a `Promise`.
      const released = Promise.resolve(shardOf(checks).release(leaseId, checks));
      background(released.catch(() => undefined));
      await released;
    },
  };
}

/** Replaces copied policies with the objects of this isolate, by which headers are cached. */
function withOwnPolicies(outcome: RateLimitOutcome, checks: readonly RateLimitCheck[]): RateLimitOutcome {
  const decisions = outcome.decisions.map((decision, index) => ({
    ...decision,
    policy: checks[index]?.policy ?? decision.policy,
  }));
  return { ...outcome, decisions, constrained: mostConstrained(decisions) };
}
