import type { Clock } from "@letta-environments/platform";
import { decideWithoutStore } from "./fallback.ts";
import type { RateLimitCheck } from "./policy.ts";
import type {
  LocalRateLimitStore,
  RateLimitDegradation,
  RateLimitOutcome,
  RateLimitStore,
  RateLimitTakeOptions,
} from "./store.ts";

/** That the store was lost or is back. Told once for each change, not for each request. */
export type RateLimitStoreEvent =
  | { readonly state: "degraded"; readonly reason: RateLimitDegradation; readonly cause: unknown }
  | {
      readonly state: "recovered";
      /** How long it lasted. */
      readonly durationMs: number;
      /** How many requests were decided without the store. */
      readonly decisions: number;
    };

/** What a rate limiter works with. */
export interface RateLimiterOptions {
  readonly store: RateLimitStore;
  /** Decides the policies with failure mode `local` while the store is not heard. */
  readonly localStore: LocalRateLimitStore;
  readonly clock: Clock;
  /** How long a request waits for the store, in milliseconds; 100 unless told otherwise. */
  readonly deadlineMs?: number;
  /** How long nobody asks a store that has failed, in milliseconds; then one request tries. 1,000 unless told otherwise. */
  readonly restMs?: number;
  /** Gateway processes that share the limits; 1 unless told otherwise. */
  readonly instances?: number;
  readonly onDegraded: (event: RateLimitStoreEvent) => void;
}

/** Decides checks within a deadline, whatever the store does. Nothing here throws or rejects because of the store. */
export interface RateLimiter {
  /** Synchronous where the store is. */
  take(
    checks: readonly RateLimitCheck[],
    options: RateLimitTakeOptions,
  ): RateLimitOutcome | Promise<RateLimitOutcome>;
  /** Gives the leases of a request back, in the background; `degraded` is what the outcome of taking them said. */
  release(leaseId: string, checks: readonly RateLimitCheck[], degraded: RateLimitDegradation | null): void;
}

const nothingToLimit: RateLimitOutcome = { admitted: true, decisions: [], constrained: null, degraded: null };

/** Creates a {@link RateLimiter}. */
export function createRateLimiter(options: RateLimiterOptions): RateLimiter {
  const { store, localStore, clock, deadlineMs = 100, restMs = 1_000, instances = 1, onDegraded } = options;
  const breaker = createCircuitBreaker(clock, restMs);
  let degradedSince = 0;
  let degradedDecisions = 0;

  function without(
    checks: readonly RateLimitCheck[],
    takeOptions: RateLimitTakeOptions,
    reason: RateLimitDegradation,
  ): RateLimitOutcome {
    degradedDecisions += 1;
    return decideWithoutStore(checks, takeOptions, { localStore, instances, closedRetryMs: restMs, reason });
  }

  function noteFailure(reason: RateLimitDegradation, cause: unknown): void {
    if (!breaker.failed()) return;
    degradedSince = clock.now();
    degradedDecisions = 0;
    onDegraded({ state: "degraded", reason, cause });
  }

  function noteSuccess(): void {
    if (!breaker.succeeded()) return;
    const durationMs = Math.max(0, clock.now() - degradedSince);
    onDegraded({ state: "recovered", durationMs, decisions: degradedDecisions });
  }

  function releaseInStore(leaseId: string, leases: readonly RateLimitCheck[]): void {
    try {
      // A lease that cannot be given back expires by itself.
      void Promise.resolve(store.release(leaseId, leases)).catch((cause: unknown) => noteFailure("error", cause));
    } catch (cause) {
      noteFailure("error", cause);
    }
  }

  function withinDeadline(
    answer: Promise<RateLimitOutcome>,
    checks: readonly RateLimitCheck[],
    takeOptions: RateLimitTakeOptions,
  ): Promise<RateLimitOutcome> {
    return new Promise((resolve) => {
      let isLate = false;
      const cancel = clock.setTimer(deadlineMs, () => {
        isLate = true;
        noteFailure("timeout", new Error(`the store gave no answer in ${deadlineMs} ms`));
        resolve(without(checks, takeOptions, "timeout"));
      });
      answer.then(
        (outcome) => {
          cancel();
          if (!isLate) {
            noteSuccess();
            resolve(outcome);
          } else if (takeOptions.leaseId !== null && !takeOptions.probe) {
            // The request was decided without this answer, so nobody would give its leases back.
            releaseInStore(takeOptions.leaseId, checks.filter(isLease));
          }
        },
        (cause: unknown) => {
          cancel();
          if (isLate) return;
          noteFailure("error", cause);
          resolve(without(checks, takeOptions, "error"));
        },
      );
    });
  }

  return {
    take(checks, takeOptions) {
      if (checks.length === 0) return nothingToLimit;
      if (!breaker.admits()) return without(checks, takeOptions, "unavailable");
      try {
        const answer = store.take(checks, takeOptions);
        if (answer instanceof Promise) return withinDeadline(answer, checks, takeOptions);
        noteSuccess();
        return answer;
      } catch (cause) {
        noteFailure("error", cause);
        return without(checks, takeOptions, "error");
      }
    },
    release(leaseId, checks, degraded) {
      const leases = checks.filter(isLease);
      if (leases.length === 0) return;
      localStore.release(leaseId, leases);
      // A store that was not asked holds nothing; one that hangs would have to keep every word that is sent to it.
      if (degraded !== "unavailable") releaseInStore(leaseId, leases);
    },
  };
}

function isLease({ policy }: RateLimitCheck): boolean {
  return policy.unit === "concurrent-requests";
}

/** Spares callers the wait for something that has just failed. */
export interface CircuitBreaker {
  /** Whether to try: always while closed; while open once after each rest, until that try has ended. */
  admits(): boolean;
  /** A try went well. True when that has closed the breaker. */
  succeeded(): boolean;
  /** A try failed. True when that has opened the breaker. */
  failed(): boolean;
}

/** Creates a {@link CircuitBreaker}: it opens with the first failure and rests for `restMs`. */
export function createCircuitBreaker(clock: Clock, restMs: number): CircuitBreaker {
  let restsSince: number | null = null;
  let isTrying = false;
  return {
    admits() {
      if (restsSince === null) return true;
      const restedMs = clock.now() - restsSince;
      // A clock that was set back must not keep the breaker open.
      if (isTrying || (restedMs >= 0 && restedMs < restMs)) return false;
      isTrying = true;
      return true;
    },
    succeeded() {
      // A try from before the failure says nothing about the time after it.
      if (restsSince === null || !isTrying) return false;
      restsSince = null;
      isTrying = false;
      return true;
    },
    failed() {
      const hasOpened = restsSince === null;
      // What began before the breaker opened and fails only now must not prolong the rest.
      if (!hasOpened && !isTrying) return false;
      restsSince = clock.now();
      isTrying = false;
      return hasOpened;
    },
  };
}
