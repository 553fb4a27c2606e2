/** Leases of concurrent requests in memory. */
export interface LeaseTable {
  /** How many leases of a key are live, leaving out this one. */
  countOthers(policyName: string, key: string, leaseId: string | null, nowUs: number): number;
  grant(policyName: string, key: string, leaseId: string, expiresUs: number): void;
  release(policyName: string, key: string, leaseId: string): void;
  /** Looks at a few keys of a policy, going round, and forgets those without a live lease. */
  sweep(policyName: string, nowUs: number): void;
  /** Number of leases that are held. */
  readonly size: number;
}

/** Expiry by lease id, in order of expiry: every lease of a policy lasts equally long, and one that is renewed goes to the end. */
type Leases = Map<string, number>;

interface LeasePartition {
  readonly byKey: Map<string, Leases>;
  round: Iterator<[string, Leases]>;
}

/** More than the one key that a request may add at the end, so that the end is reached. */
const sweptAtOnce = 2;

/**
 * Creates a {@link LeaseTable}. There are never more leases in it than requests under way and requests that have ended without giving
 * theirs back within its time.
 */
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
      dropExpired(leases, nowUs);
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
      // A key without leases is left for the sweep: the next request of the same caller is likely to need it.
      partitionOf(policyName).byKey.get(key)?.delete(leaseId);
    },
    sweep(policyName, nowUs) {
      const partition = partitionOf(policyName);
      for (let looks = 0; looks < sweptAtOnce; looks++) {
        const next = partition.round.next();
        if (next.done === true) {
          partition.round = partition.byKey.entries();
          continue;
        }
        const [key, leases] = next.value;
        dropExpired(leases, nowUs);
        if (leases.size === 0) partition.byKey.delete(key);
      }
    },
    get size() {
      let size = 0;
      for (const { byKey } of partitions.values()) for (const leases of byKey.values()) size += leases.size;
      return size;
    },
  };
}

function dropExpired(leases: Leases, nowUs: number): void {
  for (const [leaseId, expiresUs] of leases) {
    if (expiresUs > nowUs) return;
    leases.delete(leaseId);
  }
}
