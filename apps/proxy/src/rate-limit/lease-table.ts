/**
 * The memory store's leases of concurrent requests: for each policy and key, the expiry of each live lease. A lease ends when it is
 * released or when it expires, so a request that never ends does not hold its lease forever. Expired leases and keys without
 * leases are removed in small steps during requests.
 */

/** See {@link createLeaseTable}. */
export interface LeaseTable {
  /** Returns the number of live leases of a key, without this one. */
  countOthers(policyName: string, key: string, leaseId: string | null, nowUs: number): number;
  /** Adds or renews a lease. */
  grant(policyName: string, key: string, leaseId: string, expiresUs: number): void;
  release(policyName: string, key: string, leaseId: string): void;
  /** Inspects the next keys of a policy, round-robin, and removes those without a live lease. */
  sweep(policyName: string, nowUs: number): void;
  /** Number of leases. */
  readonly size: number;
}

/** Expiry by lease id, in order of expiry: all leases of a policy last equally long, and a renewed lease moves to the end. */
type Leases = Map<string, number>;

interface LeasePartition {
  readonly byKey: Map<string, Leases>;
  /** The keys that are swept next. */
  round: Iterator<[string, Leases]>;
}

/** Keys inspected by a sweep: more than the one key that a request may add, so that the round ends. */
const keysPerSweep = 2;

/** Creates an empty table. It never holds more leases than running requests and unreleased leases that have not yet expired. */
export function createLeaseTable(): LeaseTable {
  const partitions = new Map<string, LeasePartition>();

  function partitionOf(policyName: string): LeasePartition {
    let partition = partitions.get(policyName);
    if (partition === undefined) {
      const byKey = new Map<string, Leases>();
      partition = { byKey, round: byKey.entries() };
      partitions.set(policyName, partition);
    }
    return partition;
  }

  return {
    countOthers(policyName, key, leaseId, nowUs) {
      const leases = partitionOf(policyName).byKey.get(key);
      if (leases === undefined) return 0;
      removeExpired(leases, nowUs);
      return leases.size - (leaseId !== null && leases.has(leaseId) ? 1 : 0);
    },
    grant(policyName, key, leaseId, expiresUs) {
      const { byKey } = partitionOf(policyName);
      const leases = byKey.get(key);
      if (leases === undefined) {
        byKey.set(key, new Map([[leaseId, expiresUs]]));
      } else {
        leases.delete(leaseId);
        leases.set(leaseId, expiresUs);
      }
    },
    release(policyName, key, leaseId) {
      // A key without leases stays until the sweep: the same caller's next request probably needs it.
      partitionOf(policyName).byKey.get(key)?.delete(leaseId);
    },
    sweep: (policyName, nowUs) => sweep(partitionOf(policyName), nowUs),
    get size() {
      let size = 0;
      for (const { byKey } of partitions.values()) for (const leases of byKey.values()) size += leases.size;
      return size;
    },
  };
}

function sweep(partition: LeasePartition, nowUs: number): void {
  for (let looks = 0; looks < keysPerSweep; looks++) {
    const next = partition.round.next();
    if (next.done === true) {
      partition.round = partition.byKey.entries();
      continue;
    }
    const [key, leases] = next.value;
    removeExpired(leases, nowUs);
    if (leases.size === 0) partition.byKey.delete(key);
  }
}

function removeExpired(leases: Leases, nowUs: number): void {
  for (const [leaseId, expiresUs] of leases) {
    if (expiresUs > nowUs) return;
    leases.delete(leaseId);
  }
}
