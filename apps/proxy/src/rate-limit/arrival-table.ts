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
  readonly slots: Map<string, number>;
  /** TAT that is assumed for unknown keys, in microseconds. */
  floorUs: number;
  /** Length of the policy's whole burst when a key was last added, in microseconds. */
  burstUs: number;
}

/** See {@link createArrivalTable}. */
export interface ArrivalTable {
  partition(policyName: string): ArrivalPartition;
  /** Returns the slot of a key, or -1 if the key is unknown. The slot is valid until a key is added or removed. */
  find(partition: ArrivalPartition, key: string): number;
  /** Returns the TAT in a slot, in microseconds. */
  read(slot: number): number;
  write(slot: number, arrivalUs: number): void;
  /** Adds a key, or changes it if it is known. */
  add(partition: ArrivalPartition, key: string, arrivalUs: number, nowUs: number): void;
  /** Inspects the next `count` slots, round-robin, and removes idle keys. */
  sweep(count: number, nowUs: number): void;
  /** Number of keys. */
  readonly size: number;
}

interface Slots {
  readonly maxKeys: number;
  arrivals: Float64Array;
  /** Key and partition of each slot; a free slot has no partition. */
  readonly keys: string[];
  readonly owners: (ArrivalPartition | null)[];
  readonly free: number[];
  /** The next slot that is swept. */
  hand: number;
}

/** Number of slots that are compared to choose one for eviction. */
const sampleSize = 16;
const firstCapacity = 64;

/** Creates a table for at most `maxKeys` keys. */
export function createArrivalTable(maxKeys: number): ArrivalTable {
  const partitions = new Map<string, ArrivalPartition>();
  const arrivals = new Float64Array(Math.min(firstCapacity, maxKeys));
  const slots: Slots = { maxKeys, arrivals, keys: [], owners: [], free: [], hand: 0 };
  return {
    partition(policyName) {
      let partition = partitions.get(policyName);
      if (partition === undefined) {
        partition = { slots: new Map(), floorUs: 0, burstUs: 1 };
        partitions.set(policyName, partition);
      }
      return partition;
    },
    find: (partition, key) => partition.slots.get(key) ?? -1,
    read: (slot) => slots.arrivals[slot] ?? 0,
    write(slot, arrivalUs) {
      slots.arrivals[slot] = arrivalUs;
    },
    add(partition, key, arrivalUs, nowUs) {
      let slot = partition.slots.get(key);
      if (slot === undefined) {
        slot = takeSlot(slots, nowUs);
        partition.slots.set(key, slot);
        slots.keys[slot] = key;
        slots.owners[slot] = partition;
      }
      slots.arrivals[slot] = arrivalUs;
    },
    sweep(count, nowUs) {
      for (let looks = Math.min(count, slots.owners.length); looks > 0; looks--) {
        const slot = nextSlot(slots);
        const owner = slots.owners[slot];
        if (owner !== null && owner !== undefined && (slots.arrivals[slot] ?? 0) <= nowUs) remove(slots, slot, owner);
      }
    },
    get size() {
      return slots.owners.length - slots.free.length;
    },
  };
}

function takeSlot(slots: Slots, nowUs: number): number {
  const { owners, free, maxKeys } = slots;
  if (free.length === 0 && owners.length >= maxKeys) evict(slots, nowUs);
  const reused = free.pop();
  if (reused !== undefined) return reused;
  const slot = owners.length;
  if (slot === slots.arrivals.length) {
    const grown = new Float64Array(Math.min(maxKeys, slot * 2));
    grown.set(slots.arrivals);
    slots.arrivals = grown;
  }
  return slot;
}

/** Evicts the key of the next slots that has the smallest share of its burst spent. */
function evict(slots: Slots, nowUs: number): void {
  const { arrivals, owners } = slots;
  let victim = -1;
  let victimShare = Infinity;
  for (let looks = Math.min(sampleSize, owners.length); looks > 0; looks--) {
    const slot = nextSlot(slots);
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
  remove(slots, victim, owner);
}

function remove({ keys, owners, free }: Slots, slot: number, owner: ArrivalPartition): void {
  owner.slots.delete(keys[slot] ?? "");
  keys[slot] = "";
  owners[slot] = null;
  free.push(slot);
}

function nextSlot(slots: Slots): number {
  if (slots.hand >= slots.owners.length) slots.hand = 0;
  return slots.hand++;
}
