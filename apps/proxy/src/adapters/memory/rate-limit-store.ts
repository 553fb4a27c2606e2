/**
 * Counts rate limits in memory, for one process. Time is monotonic, so changes of the wall clock neither block nor free anyone.
 *
 * The theoretical arrival times (TATs, see `decide.ts`) of up to `maxKeys` keys are in one `Float64Array`. A map for each policy gives the slot of a
 * key. Idle keys are removed in small steps during requests, so no timer is needed. A full table evicts, from a sample, the key with the smallest
 * share of its burst spent. The latest TAT that was evicted becomes the floor of its policy: the TAT that is assumed for every unknown key. So eviction
 * never gives anyone more than what was left, and nobody can reset a limit by flooding the table.
 */
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
/** Number of slots that are compared to choose one for eviction. */
const sampleSize = 16;
const firstCapacity = 64;

export interface MemoryRateLimitStore extends LocalRateLimitStore {
  /** Number of keys and leases that are held. */
  readonly size: number;
}

/** The keys of one policy. */
interface ArrivalPartition {
  /** The slot of each key. It is valid until a key is added or removed. */
  readonly slots: Map<string, number>;
  /** TAT that is assumed for unknown keys, in microseconds. */
  floorUs: number;
  /** Length of the policy's whole burst when a key was last added, in microseconds. */
  burstUs: number;
}

/** The counters. `arrivals` is read and written at known slots; everything else changes through the functions below. */
interface ArrivalTable {
  readonly maxKeys: number;
  readonly partitions: Map<string, ArrivalPartition>;
  /** TAT in each slot, in microseconds. */
  arrivals: Float64Array;
  /** Key and partition of each slot; a free slot has no partition. */
  readonly keys: string[];
  readonly owners: (ArrivalPartition | null)[];
  readonly free: number[];
  /** The slot that is swept next. */
  hand: number;
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
  const arrivals = new Float64Array(Math.min(firstCapacity, maxKeys));
  const table: ArrivalTable = { maxKeys, partitions: new Map(), arrivals, keys: [], owners: [], free: [], hand: 0 };
  const leases: LeaseTable = new Map();
  const state: MemoryState = { table, leases, ...createBuffers(8) };
  return {
    take(checks, { probe, leaseId }) {
      // In steps of a millisecond: with finer steps, busy keys would be idle, removed and added again between requests.
      const nowUs = Math.floor(clock.monotonic()) * 1_000;
      readStates(state, checks, leaseId, nowUs);
      const outcome = decideRateLimits(checks, state.states, nowUs, probe);
      writeStates(state, checks, leaseId, nowUs);
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
    if (check !== undefined && isNew) setArrival(table, check, states[index] ?? 0, nowUs);
  }
  sweepArrivals(table, 1 + newKeys * sweptPerNewKey, nowUs);
}

function arrivalPartition({ partitions }: ArrivalTable, policyName: string): ArrivalPartition {
  let partition = partitions.get(policyName);
  if (partition === undefined) {
    partition = { slots: new Map(), floorUs: 0, burstUs: 1 };
    partitions.set(policyName, partition);
  }
  return partition;
}

/** Adds a key, or changes it if it is known. */
function setArrival(table: ArrivalTable, { policy, key }: RateLimitCheck, arrivalUs: number, nowUs: number): void {
  const partition = arrivalPartition(table, policy.name);
  partition.burstUs = intervalUsOf(policy) * policy.burst;
  let slot = partition.slots.get(key);
  if (slot === undefined) {
    slot = takeSlot(table, nowUs);
    partition.slots.set(key, slot);
    table.keys[slot] = key;
    table.owners[slot] = partition;
  }
  table.arrivals[slot] = arrivalUs;
}

/** Inspects the next `count` slots, round-robin, and removes idle keys. */
function sweepArrivals(table: ArrivalTable, count: number, nowUs: number): void {
  for (let looks = Math.min(count, table.owners.length); looks > 0; looks--) {
    const slot = nextSlot(table);
    const owner = table.owners[slot];
    if (owner !== null && owner !== undefined && (table.arrivals[slot] ?? 0) <= nowUs) remove(table, slot, owner);
  }
}

function takeSlot(table: ArrivalTable, nowUs: number): number {
  const { owners, free, maxKeys } = table;
  if (free.length === 0 && owners.length >= maxKeys) evict(table, nowUs);
  const reused = free.pop();
  if (reused !== undefined) return reused;
  const slot = owners.length;
  if (slot === table.arrivals.length) {
    const grown = new Float64Array(Math.min(maxKeys, slot * 2));
    grown.set(table.arrivals);
    table.arrivals = grown;
  }
  return slot;
}

/** Evicts the key of the next slots that has the smallest share of its burst spent. */
function evict(table: ArrivalTable, nowUs: number): void {
  const { arrivals, owners } = table;
  let victim = -1;
  let victimShare = Infinity;
  for (let looks = Math.min(sampleSize, owners.length); looks > 0; looks--) {
    const slot = nextSlot(table);
    const owner = owners[slot];
    if (owner === null || owner === undefined) continue;
    const share = ((arrivals[slot] ?? 0) - nowUs) / owner.burstUs;
    if (share >= victimShare) continue;
    victim = slot;
    victimShare = share;
  }
  const owner = owners[victim];
  if (owner === null || owner === undefined) return;
  owner.floorUs = Math.max(owner.floorUs, arrivals[victim] ?? 0);
  remove(table, victim, owner);
}

function remove({ keys, owners, free }: ArrivalTable, slot: number, owner: ArrivalPartition): void {
  owner.slots.delete(keys[slot] ?? "");
  keys[slot] = "";
  owners[slot] = null;
  free.push(slot);
}

function nextSlot(table: ArrivalTable): number {
  if (table.hand >= table.owners.length) table.hand = 0;
  return table.hand++;
}
