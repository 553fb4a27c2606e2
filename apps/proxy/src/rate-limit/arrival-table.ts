/**
 * The memory store's counters: theoretical arrival times (TATs, see `decide.ts`) of up to `maxKeys` keys, in one `Float64Array`. A
 * map for each policy gives the slot of a key.
 *
 * Idle keys are removed in small steps during requests, so no timer is needed. A full table evicts, from a sample, the key with the
 * smallest share of its burst spent. The latest TAT that was evicted becomes the floor of its policy: the TAT that is assumed for
 * every unknown key. So eviction never gives anyone more than what was left, and nobody can reset a limit by flooding the table.
 */

/** The keys of one policy. */
export interface ArrivalPartition {
  /** The slot of each key. It is valid until a key is added or removed. */
  readonly slots: Map<string, number>;
  /** TAT that is assumed for unknown keys, in microseconds. */
  floorUs: number;
  /** Length of the policy's whole burst when a key was last added, in microseconds. */
  burstUs: number;
}

/** The state of a table. Read and write `arrivals` at known slots; everything else changes through the functions below. */
export interface ArrivalTable {
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

/** Number of slots that are compared to choose one for eviction. */
const sampleSize = 16;
const firstCapacity = 64;

/** Creates an empty table for at most `maxKeys` keys. */
export function createArrivalTable(maxKeys: number): ArrivalTable {
  const arrivals = new Float64Array(Math.min(firstCapacity, maxKeys));
  return { maxKeys, partitions: new Map(), arrivals, keys: [], owners: [], free: [], hand: 0 };
}

/** Returns the partition of a policy. */
export function arrivalPartition({ partitions }: ArrivalTable, policyName: string): ArrivalPartition {
  let partition = partitions.get(policyName);
  if (partition === undefined) {
    partition = { slots: new Map(), floorUs: 0, burstUs: 1 };
    partitions.set(policyName, partition);
  }
  return partition;
}

/** Adds a key, or changes it if it is known. */
export function setArrival(
  table: ArrivalTable,
  partition: ArrivalPartition,
  key: string,
  arrivalUs: number,
  nowUs: number,
): void {
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
export function sweepArrivals(table: ArrivalTable, count: number, nowUs: number): void {
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
