/**
 * Leases that could not be released because the store failed. They are released once the store is back, and expire if that fails
 * too: until then they count against callers whose requests ended long ago.
 */
import type { RateLimitCheck } from "./policy.ts";

/** The leases of one request. */
export interface LeaseRelease {
  readonly leaseId: string;
  readonly leases: readonly RateLimitCheck[];
  /** When the last of the leases has expired, in monotonic milliseconds. */
  readonly expiresAtMs: number;
}

/** Remembers releases, each once. */
export interface PendingReleases {
  /** Adds a release. If there are too many, the oldest is dropped, and its leases expire. */
  add(release: LeaseRelease): void;
  /** Removes and returns the oldest releases, at most a batch, without those whose leases have expired. */
  takeBatch(nowMs: number): readonly LeaseRelease[];
  isEmpty(): boolean;
}

/** More than the requests that run at the same time, so that a store that never recovers does not fill the memory. */
const maxPending = 10_000;
/** Few enough that requests hardly wait for a batch: in SQLite each release is a transaction, which blocks the process. */
const batchSize = 32;

/** Creates {@link PendingReleases}. */
export function createPendingReleases(): PendingReleases {
  const pending = new Map<string, LeaseRelease>();
  return {
    add(release) {
      pending.set(release.leaseId, release);
      if (pending.size <= maxPending) return;
      for (const oldest of pending.keys()) {
        pending.delete(oldest);
        return;
      }
    },
    takeBatch(nowMs) {
      const batch: LeaseRelease[] = [];
      for (const [leaseId, release] of pending) {
        if (batch.length === batchSize) break;
        pending.delete(leaseId);
        if (release.expiresAtMs > nowMs) batch.push(release);
      }
      return batch;
    },
    isEmpty: () => pending.size === 0,
  };
}
