import type { Clock } from "@letta-environments/platform";
import { createArrivalTable } from "../../rate-limit/arrival-table.ts";
import { createElapsedTime } from "../../rate-limit/create-elapsed-time.ts";
import { decideRateLimits } from "../../rate-limit/decide.ts";
import { intervalUsOf } from "../../rate-limit/gcra.ts";
import { createLeaseTable } from "../../rate-limit/lease-table.ts";
import type { RateLimitCheck } from "../../rate-limit/policy.ts";
import type { LocalRateLimitStore } from "../../rate-limit/store.ts";

/** Keys that a store in memory holds unless told otherwise. */
const defaultMaxKeys = 100_000;
/** Slots that are looked at for keys at rest: one for each request, and more for each new key than the one that it takes. */
const sweptPerNewKey = 2;

/** A store in memory, which can tell how much it holds. */
export interface MemoryRateLimitStore extends LocalRateLimitStore {
  /** Number of keys and leases that are held. */
  readonly size: number;
}

/**
 * Limits in memory, for one process. Keys at rest are forgotten beside the requests, without a timer. A full store forgets those with
 * the smallest share spent, and takes every key that it does not know for as spent as the most spent that it has forgotten.
 */
export function createMemoryRateLimitStore(clock: Clock, maxKeys: number = defaultMaxKeys): MemoryRateLimitStore {
  const now = createElapsedTime(clock);
  const table = createArrivalTable(maxKeys);
  const leases = createLeaseTable();
  // Of the request at hand; kept, so that none of this is made anew for each.
  let slots = new Int32Array(8);
  let known = new Float64Array(8);
  let states = new Float64Array(8);

  function readState({ policy, key }: RateLimitCheck, index: number, leaseId: string | null, nowUs: number): number {
    if (policy.unit === "concurrent-requests") return leases.countOthers(policy.name, key, leaseId, nowUs);
    const partition = table.partition(policy.name);
    const slot = table.find(partition, key);
    slots[index] = slot;
    return slot === -1 ? partition.floorUs : table.read(slot);
  }

  function addKey({ policy, key }: RateLimitCheck, arrivalUs: number, nowUs: number): void {
    const partition = table.partition(policy.name);
    partition.burstUs = intervalUsOf(policy) * policy.burst;
    table.add(partition, key, arrivalUs, nowUs);
  }

  function keepLease({ policy, key }: RateLimitCheck, leaseId: string | null, nowUs: number): void {
    if (leaseId !== null) leases.grant(policy.name, key, leaseId, nowUs + policy.windowMs * 1_000);
    leases.sweep(policy.name, nowUs);
  }

  function keep(checks: readonly RateLimitCheck[], leaseId: string | null, nowUs: number): void {
    let newKeys = 0;
    for (let index = 0; index < checks.length; index++) {
      const check = checks[index];
      const state = states[index] ?? 0;
      const slot = slots[index] ?? -1;
      if (check === undefined) continue;
      if (check.policy.unit === "concurrent-requests") {
        if (state === 1) keepLease(check, leaseId, nowUs);
      } else if (state !== known[index]) {
        if (slot === -1) newKeys += 1;
        else table.write(slot, state);
      }
    }
    // A new key may push out another one: slots that were found before would be wrong afterwards.
    if (newKeys > 0) addNewKeys(checks, nowUs);
    table.sweep(1 + newKeys * sweptPerNewKey, nowUs);
  }

  function addNewKeys(checks: readonly RateLimitCheck[], nowUs: number): void {
    for (const [index, check] of checks.entries()) {
      const state = states[index] ?? 0;
      const isNew = check.policy.unit === "requests" && slots[index] === -1;
      if (isNew && state !== known[index]) addKey(check, state, nowUs);
    }
  }

  return {
    take(checks, { probe, leaseId }) {
      const nowUs = now();
      if (checks.length > states.length) {
        slots = new Int32Array(checks.length);
        known = new Float64Array(checks.length);
        states = new Float64Array(checks.length);
      }
      for (let index = 0; index < checks.length; index++) {
        const check = checks[index];
        if (check === undefined) continue;
        const state = readState(check, index, leaseId, nowUs);
        known[index] = state;
        states[index] = state;
      }
      const outcome = decideRateLimits(checks, states, nowUs, probe);
      if (!probe) keep(checks, leaseId, nowUs);
      return outcome;
    },
    release(leaseId, checks) {
      for (const { policy, key } of checks) {
        if (policy.unit === "concurrent-requests") leases.release(policy.name, key, leaseId);
      }
    },
    get size() {
      return table.size + leases.size;
    },
  };
}
