/**
 * Counts rate limits in memory, for one process. Time is monotonic, so changes of the wall clock neither block nor free anyone.
 * Idle keys are removed during requests, without a timer; see `arrival-table.ts` for what happens in a full store.
 */
import {
  arrivalPartition,
  type ArrivalTable,
  createArrivalTable,
  setArrival,
  sweepArrivals,
} from "../../rate-limit/arrival-table.ts";
import { decideRateLimits, intervalUsOf } from "../../rate-limit/decide.ts";
import {
  countOtherLeases,
  grantLease,
  leaseCount,
  type LeaseTable,
  releaseLease,
  sweepLeases,
} from "../../rate-limit/lease-table.ts";
import type { RateLimitCheck } from "../../rate-limit/policy.ts";
import type { LocalRateLimitStore } from "../../rate-limit/store.ts";

/** Default of `maxKeys`. */
const defaultMaxKeys = 100_000;
/** Slots that are swept for each new key, in addition to one for each request: more than the one slot that a key takes. */
const sweptPerNewKey = 2;

/** A rate-limit store in memory. */
export interface MemoryRateLimitStore extends LocalRateLimitStore {
  /** Number of keys and leases that are held. */
  readonly size: number;
}

interface MemoryState {
  readonly table: ArrivalTable;
  readonly leases: LeaseTable;
  /** Slot, state before and state after each check of the current request. Reused, so that a request allocates nothing here. */
  slots: Int32Array;
  before: Float64Array;
  states: Float64Array;
}

/** Creates an empty store for at most `maxKeys` keys. `monotonic` is in milliseconds and must never go back. */
export function createMemoryRateLimitStore(
  clock: { monotonic(): number },
  maxKeys: number = defaultMaxKeys,
): MemoryRateLimitStore {
  const table = createArrivalTable(maxKeys);
  const leases: LeaseTable = new Map();
  const state: MemoryState = { table, leases, ...createBuffers(8) };
  return {
    take(checks, { probe, leaseId }) {
      // In steps of a millisecond: with finer steps, busy keys would be idle, removed and added again between requests.
      const nowUs = Math.floor(clock.monotonic()) * 1_000;
      readStates(state, checks, leaseId, nowUs);
      const outcome = decideRateLimits(checks, state.states, nowUs, probe);
      if (!probe) writeStates(state, checks, leaseId, nowUs);
      return outcome;
    },
    release(leaseId, checks) {
      for (const { policy, key } of checks) {
        if (policy.unit === "concurrent-requests") releaseLease(leases, policy.name, key, leaseId);
      }
    },
    get size() {
      return table.owners.length - table.free.length + leaseCount(leases);
    },
  };
}

function createBuffers(length: number): Pick<MemoryState, "slots" | "before" | "states"> {
  return { slots: new Int32Array(length), before: new Float64Array(length), states: new Float64Array(length) };
}

function readStates(
  state: MemoryState,
  checks: readonly RateLimitCheck[],
  leaseId: string | null,
  nowUs: number,
): void {
  if (checks.length > state.states.length) Object.assign(state, createBuffers(checks.length));
  const { table, leases, slots, before, states } = state;
  for (let index = 0; index < checks.length; index++) {
    const check = checks[index];
    if (check === undefined) continue;
    const { policy, key } = check;
    let value: number;
    if (policy.unit === "concurrent-requests") value = countOtherLeases(leases, policy.name, key, leaseId, nowUs);
    else {
      const partition = arrivalPartition(table, policy.name);
      const slot = partition.slots.get(key) ?? -1;
      slots[index] = slot;
      value = slot === -1 ? partition.floorUs : (table.arrivals[slot] ?? 0);
    }
    before[index] = value;
    states[index] = value;
  }
}

function writeStates(
  { table, leases, slots, before, states }: MemoryState,
  checks: readonly RateLimitCheck[],
  leaseId: string | null,
  nowUs: number,
): void {
  let newKeys = 0;
  for (let index = 0; index < checks.length; index++) {
    const check = checks[index];
    if (check === undefined) continue;
    const { policy, key } = check;
    const value = states[index] ?? 0;
    if (policy.unit === "concurrent-requests") {
      if (value !== 1) continue;
      if (leaseId !== null) grantLease(leases, policy.name, key, leaseId, nowUs + policy.windowMs * 1_000);
      sweepLeases(leases, policy.name, nowUs);
    } else if (value !== before[index]) {
      const slot = slots[index] ?? -1;
      if (slot === -1) newKeys += 1;
      else table.arrivals[slot] = value;
    }
  }
  // Last, because a new key may evict another one, which would invalidate the slots above.
  for (let index = 0; newKeys > 0 && index < checks.length; index++) {
    const check = checks[index];
    const isNew = check?.policy.unit === "requests" && slots[index] === -1 && states[index] !== before[index];
    if (check !== undefined && isNew) addKey(table, check, states[index] ?? 0, nowUs);
  }
  sweepArrivals(table, 1 + newKeys * sweptPerNewKey, nowUs);
}

function addKey(table: ArrivalTable, { policy, key }: RateLimitCheck, arrivalUs: number, nowUs: number): void {
  const partition = arrivalPartition(table, policy.name);
  partition.burstUs = intervalUsOf(policy) * policy.burst;
  setArrival(table, partition, key, arrivalUs, nowUs);
}
