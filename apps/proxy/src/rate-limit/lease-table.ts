/**
 * The memory store's leases of concurrent requests: for each policy and key, the expiry of each live lease. A lease ends when it is
 * released or when it expires, so a request that never ends does not hold its lease forever. Expired leases and keys without
 * leases are removed in small steps during requests.
 */

/** Expiry by lease id, in order of expiry: all leases of a policy last equally long, and a renewed lease moves to the end. */
type Leases = Map<string, number>;

interface LeasePartition {
  readonly byKey: Map<string, Leases>;
  /** The keys that are swept next. */
  round: Iterator<[string, Leases]>;
}

/** Leases by policy name. It never holds more than the leases of running requests and unreleased leases that have not expired. */
export type LeaseTable = Map<string, LeasePartition>;

/** Keys inspected by a sweep: more than the one key that a request may add, so that the round ends. */
const keysPerSweep = 2;

/** Returns the number of live leases of a key, without this one. */
export function countOtherLeases(
  table: LeaseTable,
  policyName: string,
  key: string,
  leaseId: string | null,
  nowUs: number,
): number {
  const leases = table.get(policyName)?.byKey.get(key);
  if (leases === undefined) return 0;
  removeExpired(leases, nowUs);
  return leases.size - (leaseId !== null && leases.has(leaseId) ? 1 : 0);
}

/** Adds or renews a lease. */
export function grantLease(
  table: LeaseTable,
  policyName: string,
  key: string,
  leaseId: string,
  expiresUs: number,
): void {
  let partition = table.get(policyName);
  if (partition === undefined) {
    const byKey = new Map<string, Leases>();
    partition = { byKey, round: byKey.entries() };
    table.set(policyName, partition);
  }
  const leases = partition.byKey.get(key);
  if (leases === undefined) {
    partition.byKey.set(key, new Map([[leaseId, expiresUs]]));
  } else {
    leases.delete(leaseId);
    leases.set(leaseId, expiresUs);
  }
}

/** Releases a lease. Its key stays until a sweep, because the same caller's next request probably needs it. */
export function releaseLease(table: LeaseTable, policyName: string, key: string, leaseId: string): void {
  table.get(policyName)?.byKey.get(key)?.delete(leaseId);
}

/** Inspects the next keys of a policy, round-robin, and removes those without a live lease. */
export function sweepLeases(table: LeaseTable, policyName: string, nowUs: number): void {
  const partition = table.get(policyName);
  for (let looks = 0; partition !== undefined && looks < keysPerSweep; looks++) {
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

/** Returns the number of leases. */
export function leaseCount(table: LeaseTable): number {
  let count = 0;
  for (const { byKey } of table.values()) for (const leases of byKey.values()) count += leases.size;
  return count;
}

function removeExpired(leases: Leases, nowUs: number): void {
  for (const [leaseId, expiresUs] of leases) {
    if (expiresUs > nowUs) return;
    leases.delete(leaseId);
  }
}
