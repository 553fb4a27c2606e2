/**
 * The limiter while the store is unavailable.
 *
 * It decides checks without the store, each policy by its failure mode: `local` counts in this process with its share of the limit, `open` allows and
 * `closed` refuses. The checks stay all or nothing: if a closed policy refuses, no local policy is charged. Units charged locally are not reported to
 * the store later.
 *
 * It remembers leases that could not be released. They are released once the store is back, and expire if that fails too: until then they count
 * against callers whose requests ended long ago.
 */
import { mostConstrained } from "./decide.ts";
import type { RateLimitCheck } from "./policy.ts";
import type {
  LocalRateLimitStore,
  RateLimitDecision,
  RateLimitDegradation,
  RateLimitOutcome,
  RateLimitTakeOptions,
} from "./store.ts";

/** How long no request is sent to a store that failed, in milliseconds. A closed policy asks callers to wait as long. */
export const cooldownMs = 1_000;

/** Decides each check by the failure mode of its policy. */
export function decideWithoutStore(
  checks: readonly RateLimitCheck[],
  options: RateLimitTakeOptions,
  { localStore, instances }: { readonly localStore: LocalRateLimitStore; readonly instances: number },
  reason: RateLimitDegradation,
): RateLimitOutcome {
  const isClosed = checks.some(({ policy }) => policy.onStoreError === "closed" && policy.mode === "enforce");
  const shares = checks
    .filter(({ policy }) => policy.onStoreError === "local")
    .map((check) => localShare(check, instances));
  const local = localStore.take(shares, { ...options, probe: options.probe || isClosed });
  let nextLocal = 0;
  const decisions = checks.map(({ policy }): RateLimitDecision => {
    const mode = policy.onStoreError;
    const decided = mode === "local" ? local.decisions[nextLocal++] : undefined;
    if (decided !== undefined) return { ...decided, degraded: "local" };
    const allowed = mode !== "closed";
    return { policy, allowed, remaining: null, resetMs: 0, retryAfterMs: allowed ? 0 : cooldownMs, degraded: mode };
  });
  return {
    admitted: local.admitted && !isClosed,
    decisions,
    constrained: mostConstrained(decisions),
    degraded: reason,
  };
}

/**
 * Returns a check with one process's share of the limit and of the burst, at least one unit each. A request that costs more than
 * the share of the burst, but not more than the whole burst, costs the whole share.
 */
function localShare({ policy, key, cost }: RateLimitCheck, instances: number): RateLimitCheck {
  if (instances === 1) return { policy, key, cost };
  if (policy.unit === "concurrent-requests") {
    return { policy: { ...policy, limit: Math.max(1, Math.floor(policy.limit / instances)) }, key, cost };
  }
  const burst = Math.max(1, Math.floor(policy.burst / instances));
  return {
    // The same limit over a longer window gives the share without fractions of a unit.
    policy: { ...policy, windowMs: policy.windowMs * instances, burst },
    key,
    cost: cost <= policy.burst ? Math.min(cost, burst) : Math.max(cost, burst + 1),
  };
}

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
      const [oldest] = pending.keys();
      if (pending.size > maxPending && oldest !== undefined) pending.delete(oldest);
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
