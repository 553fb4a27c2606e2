/** The keys of one policy. */
export interface ArrivalPartition {
  readonly slots: Map<string, number>;
  /**
   * The latest arrival time among keys that were forgotten before they were at rest: what is assumed of every key that is not
   * there. So forgetting never gives anybody more than was left.
   */
  floorUs: number;
  /** Microseconds of a whole burst, as last seen. */
  burstUs: number;
}

/** Arrival times of many keys in little memory; it forgets keys at rest, and when it is full those nearest to it. */
export interface ArrivalTable {
  partition(policyName: string): ArrivalPartition;
  /** The slot of a key, until something is added or forgotten; -1 when there is none. */
  find(partition: ArrivalPartition, key: string): number;
  /** The arrival time in a slot, in microseconds. */
  read(slot: number): number;
  write(slot: number, arrivalUs: number): void;
  /** Adds a key, or changes it when it is there. */
  add(partition: ArrivalPartition, key: string, arrivalUs: number, nowUs: number): void;
  /** Looks at `count` slots, going round, and forgets keys at rest. */
  sweep(count: number, nowUs: number): void;
  /** Number of keys that are held. */
  readonly size: number;
}

/** How many slots are compared for one to forget when all are taken. */
const sampleSize = 16;
const firstCapacity = 64;

/** Creates an {@link ArrivalTable} for at most `maxKeys` keys. */
export function createArrivalTable(maxKeys: number): ArrivalTable {
  const partitions = new Map<string, ArrivalPartition>();
  let arrivals = new Float64Array(Math.min(firstCapacity, maxKeys));
  /** Key and partition of each slot; a free slot has no partition. */
  const keys: string[] = [];
  const owners: (ArrivalPartition | null)[] = [];
  const free: number[] = [];
  let hand = 0;

  function forget(slot: number, owner: ArrivalPartition): void {
    owner.slots.delete(keys[slot] ?? "");
    keys[slot] = "";
    owners[slot] = null;
    free.push(slot);
  }

  function nextSlot(): number {
    if (hand >= owners.length) hand = 0;
    return hand++;
  }

  /** Makes room by forgetting, of a sample, the key with the smallest share of its burst spent. */
  function evict(nowUs: number): void {
    let victim = -1;
    let victimShare = Infinity;
    for (let looks = Math.min(sampleSize, owners.length); looks > 0; looks--) {
      const slot = nextSlot();
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
    forget(victim, owner);
  }

  function takeSlot(nowUs: number): number {
    if (free.length === 0 && owners.length >= maxKeys) evict(nowUs);
    const reused = free.pop();
    if (reused !== undefined) return reused;
    const slot = owners.length;
    if (slot === arrivals.length) {
      const grown = new Float64Array(Math.min(maxKeys, slot * 2));
      grown.set(arrivals);
      arrivals = grown;
    }
    return slot;
  }

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
    read: (slot) => arrivals[slot] ?? 0,
    write(slot, arrivalUs) {
      arrivals[slot] = arrivalUs;
    },
    add(partition, key, arrivalUs, nowUs) {
      let slot = partition.slots.get(key);
      if (slot === undefined) {
        slot = takeSlot(nowUs);
        partition.slots.set(key, slot);
        keys[slot] = key;
        owners[slot] = partition;
      }
      arrivals[slot] = arrivalUs;
    },
    sweep(count, nowUs) {
      for (let looks = Math.min(count, owners.length); looks > 0; looks--) {
        const slot = nextSlot();
        const owner = owners[slot];
        if (owner !== null && owner !== undefined && (arrivals[slot] ?? 0) <= nowUs) forget(slot, owner);
      }
    },
    get size() {
      return owners.length - free.length;
    },
  };
}
