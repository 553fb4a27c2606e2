/**
 * The rate limiter. Start reading here.
 *
 * Concept: `policy.ts` describes limits, and `checks.ts` turns a request into one check for each policy that applies to it.
 * {@link RateLimiter.take} decides all checks of a request together: if one enforced policy refuses, none is charged. `headers.ts`
 * reports the outcome to callers.
 *
 * Algorithm: `decide.ts` counts requests with GCRA and concurrent requests with leases.
 *
 * Concurrency: a store (`store.ts`) decides each request in one atomic step. In memory no other request runs in between; SQLite uses
 * a transaction, Valkey a script. The memory store keeps its leases in `lease-table.ts`.
 *
 * Failures: a request waits for the store until a deadline. After a failure a circuit breaker (`lib/circuit-breaker.ts`) sends one
 * request after each cool-down to the store, and all others continue without it: `fallback.ts` decides them by the failure mode of
 * each policy. The outcome says so, and the loss and the return of the store are reported once each. Leases that could not be
 * released are released when the store is back. Durations are monotonic, so changes of the wall clock neither block nor free anyone.
 */
import { type Admission, type CircuitBreaker, createCircuitBreaker } from "../lib/circuit-breaker.ts";
import {
  cooldownMs,
  createPendingReleases,
  decideWithoutStore,
  type LeaseRelease,
  type PendingReleases,
} from "./fallback.ts";
import type { RateLimitCheck } from "./policy.ts";
import type {
  LocalRateLimitStore,
  RateLimitDegradation,
  RateLimitOutcome,
  RateLimitStore,
  RateLimitTakeOptions,
} from "./store.ts";

/** Decides checks within a deadline. It never throws or rejects because of the store. */
export interface RateLimiter {
  /** Decides the checks of a request. Returns synchronously if the store does. */
  take(checks: readonly RateLimitCheck[], options: RateLimitTakeOptions): RateLimitOutcome | Promise<RateLimitOutcome>;
  /** Releases the leases of a request in the background; `degraded` comes from the outcome of `take`. */
  release(leaseId: string, checks: readonly RateLimitCheck[], degraded: RateLimitDegradation | null): void;
  /** Receives each outcome that is used for another request without a further check, so that metrics count that request too. */
  readonly noteRepeated?: (outcome: RateLimitOutcome) => void;
}

/** Reports that the store was lost or is back, once for each change. */
export type RateLimitStoreEvent =
  | { readonly state: "degraded"; readonly reason: RateLimitDegradation; readonly cause: unknown }
  | {
      readonly state: "recovered";
      /** How long the store was lost, in milliseconds. */
      readonly durationMs: number;
      /** Number of requests that were decided without the store. */
      readonly decisions: number;
    };

/** Time for a {@link RateLimiter}. */
export interface RateLimiterClock {
  /** Milliseconds since an arbitrary start; never goes back. */
  monotonic(): number;
  /** Calls `run` once after `delayMs`. The returned function cancels it. */
  setTimer(delayMs: number, run: () => void): () => void;
}

/** Options of {@link createRateLimiter}. */
export interface RateLimiterOptions {
  readonly store: RateLimitStore;
  /** Decides policies with failure mode `local` while the store is unavailable. */
  readonly localStore: LocalRateLimitStore;
  readonly clock: RateLimiterClock;
  /** How long a request waits for the store, in milliseconds. Default: 100. */
  readonly deadlineMs?: number;
  /** Number of processes that share the limits. Default: 1. */
  readonly instances?: number;
  readonly onDegraded: (event: RateLimitStoreEvent) => void;
}

/** A rate limiter's options and state. */
interface Limiter extends Required<RateLimiterOptions> {
  readonly breaker: CircuitBreaker;
  readonly pendingReleases: PendingReleases;
  degradedDecisions: number;
  /** From this time on, a successful call continues the pending releases. In monotonic milliseconds. */
  resumeReleasesAtMs: number;
}

/** Creates a {@link RateLimiter}. */
export function createRateLimiter(options: RateLimiterOptions): RateLimiter {
  const { clock, deadlineMs = 100, instances = 1 } = options;
  const breaker = createCircuitBreaker(clock, { cooldownMs });
  const state = { breaker, pendingReleases: createPendingReleases(), degradedDecisions: 0 };
  const limiter: Limiter = { ...options, deadlineMs, instances, ...state, resumeReleasesAtMs: 0 };
  return {
    take: (checks, takeOptions) => take(limiter, checks, takeOptions),
    release(leaseId, checks, degraded) {
      const leases = checks.filter(isLease);
      if (leases.length === 0) return;
      limiter.localStore.release(leaseId, leases);
      // A call that failed or was late releases what it may have taken, and a store that was not called holds no lease.
      if (degraded === null) releaseInStore(limiter, leaseId, leases);
    },
  };
}

const nothingToLimit: RateLimitOutcome = { admitted: true, decisions: [], constrained: null, degraded: null };

function take(
  limiter: Limiter,
  checks: readonly RateLimitCheck[],
  options: RateLimitTakeOptions,
): RateLimitOutcome | Promise<RateLimitOutcome> {
  if (checks.length === 0) return nothingToLimit;
  const admission = limiter.breaker.admit();
  if (admission === null) return fallBack(limiter, checks, options, "unavailable");
  try {
    const outcome = limiter.store.take(checks, options);
    if (outcome instanceof Promise) return withinDeadline(limiter, admission, outcome, checks, options);
    noteSuccess(limiter, admission);
    return outcome;
  } catch (cause) {
    noteFailure(limiter, admission, "error", cause);
    return fallBack(limiter, checks, options, "error");
  }
}

function withinDeadline(
  limiter: Limiter,
  admission: Admission,
  pending: Promise<RateLimitOutcome>,
  checks: readonly RateLimitCheck[],
  options: RateLimitTakeOptions,
): Promise<RateLimitOutcome> {
  const { clock, deadlineMs } = limiter;
  // The request is decided without this call, so the end of the request does not release what the call may have taken.
  const releaseTaken = (releaseAdmission?: Admission): void => {
    if (options.leaseId === null || options.probe) return;
    releaseInStore(limiter, options.leaseId, checks.filter(isLease), releaseAdmission);
  };
  return new Promise((resolve) => {
    let isLate = false;
    const cancel = clock.setTimer(deadlineMs, () => {
      isLate = true;
      noteFailure(limiter, admission, "timeout", new Error(`the store did not respond within ${deadlineMs} ms`));
      resolve(fallBack(limiter, checks, options, "timeout"));
    });
    pending.then(
      (outcome) => {
        cancel();
        // The store has just responded, so it may be called although the circuit breaker is open.
        if (isLate) return releaseTaken(admission);
        noteSuccess(limiter, admission);
        resolve(outcome);
      },
      (cause: unknown) => {
        cancel();
        if (!isLate) {
          noteFailure(limiter, admission, "error", cause);
          resolve(fallBack(limiter, checks, options, "error"));
        }
        releaseTaken();
      },
    );
  });
}

function fallBack(
  limiter: Limiter,
  checks: readonly RateLimitCheck[],
  options: RateLimitTakeOptions,
  reason: RateLimitDegradation,
): RateLimitOutcome {
  limiter.degradedDecisions += 1;
  return decideWithoutStore(checks, options, limiter, reason);
}

function noteFailure(limiter: Limiter, admission: Admission, reason: RateLimitDegradation, cause: unknown): void {
  if (!limiter.breaker.recordFailure(admission)) return;
  limiter.degradedDecisions = 0;
  limiter.onDegraded({ state: "degraded", reason, cause });
}

function noteSuccess(limiter: Limiter, admission: Admission): void {
  const durationMs = limiter.breaker.recordSuccess(admission);
  if (durationMs === null) return resumeReleases(limiter);
  limiter.onDegraded({ state: "recovered", durationMs, decisions: limiter.degradedDecisions });
  void releasePending(limiter);
}

/** Releases leases in the background, at the latest when the store is back. */
function releaseInStore(
  limiter: Limiter,
  leaseId: string,
  leases: readonly RateLimitCheck[],
  admission = admitRelease(limiter),
): void {
  if (leases.length === 0) return;
  const longestMs = Math.max(...leases.map(({ policy }) => policy.windowMs));
  void releaseLeases(limiter, { leaseId, leases, expiresAtMs: limiter.clock.monotonic() + longestMs }, admission);
}

/** Calls to a store that hangs would pile up, and a locked SQLite file would block the process with each of them. */
function admitRelease({ breaker }: Limiter): Admission | null {
  return breaker.retryAfterMs() === null ? breaker.admit() : null;
}

/** Never rejects. */
async function releaseLeases(limiter: Limiter, release: LeaseRelease, admission: Admission | null): Promise<void> {
  const { breaker, pendingReleases, store } = limiter;
  if (admission === null) return pendingReleases.add(release);
  try {
    await store.release(release.leaseId, release.leases);
    resumeReleases(limiter);
  } catch (cause) {
    noteFailure(limiter, admission, "error", cause);
    pendingReleases.add(release);
    // The store was lost and came back during this call, so nothing else would release these leases.
    if (breaker.retryAfterMs() === null) void releasePending(limiter);
  }
}

/** Continues where a batch failed, or where the timer of the next one ended with its request, as on Workers. */
function resumeReleases(limiter: Limiter): void {
  const { clock, pendingReleases, resumeReleasesAtMs } = limiter;
  if (!pendingReleases.isEmpty() && clock.monotonic() >= resumeReleasesAtMs) void releasePending(limiter);
}

/** Releases the leases that could not be released, a batch in each round of the event loop, until one fails. Never rejects. */
async function releasePending(limiter: Limiter): Promise<void> {
  const { breaker, clock, pendingReleases, store } = limiter;
  if (breaker.retryAfterMs() !== null) return;
  const batch = pendingReleases.takeBatch(clock.monotonic());
  if (batch.length === 0) return;
  limiter.resumeReleasesAtMs = clock.monotonic() + cooldownMs;
  let hasFailed = false;
  await Promise.all(
    batch.map(async (release) => {
      // A locked SQLite file would block the process with each of them.
      if (hasFailed) return pendingReleases.add(release);
      try {
        await store.release(release.leaseId, release.leases);
      } catch {
        // Perhaps only this lease fails, so it must not hold up others. It is not retried, and expires.
        hasFailed = true;
      }
    }),
  );
  if (!hasFailed) clock.setTimer(0, () => void releasePending(limiter));
}

function isLease({ policy }: RateLimitCheck): boolean {
  return policy.unit === "concurrent-requests";
}
