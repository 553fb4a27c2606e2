import {
  type Background,
  type CacheEntry,
  type CacheStore,
  type Clock,
  type Coalescer,
  currentAgeMs,
  type FetchOutcome,
  type MaybePromise,
} from "../ports.ts";
import { checkCacheName } from "./cache-status.ts";
import { coalesce, type CoalescingSteps, type Exchanged, type PendingFetch, revalidateOnce } from "./coalesce.ts";
import { type CacheFailure, createGuardedStore, type InFlightRequest } from "./guarded-store.ts";
import { noCoalescing } from "./in-process-coalescer.ts";
import type {
  CacheCall,
  CacheStrategy,
  Candidate,
  FetchDecision,
  Forwarded,
  Hit,
  Invalidation,
  Revalidate,
  StoreRefusal,
  UpstreamFailure,
} from "./strategy.ts";

/** The options that every cache has. */
export interface CacheOptions {
  readonly store: CacheStore;
  readonly clock: Clock;
  /** Default: no coalescing, so each miss goes to the origin. */
  readonly coalescer?: Coalescer;
  /** Default: background work runs without being kept alive. */
  readonly background?: Background;
  /** The name of this cache in `Cache-Status`: a token. Default: `http-cache`. */
  readonly name?: string;
  /** Receives failures that do not affect the response. It must not throw. */
  readonly onError?: (failure: CacheFailure, cause: unknown) => void;
}

export const defaultName = "http-cache";

/** The life of cached responses; see {@link CacheStrategy}. With a synchronous store, `lookUp` and a hit of `proceed` are synchronous. */
export interface CacheEngine<Call, Result> {
  /** Decides what to do with a call. */
  lookUp(call: Call): MaybePromise<Hit | FetchDecision>;
  /** Carries out a decision: returns the stored response, or fetches. Rejects as the strategy's `fetch` does. */
  proceed(call: Call, decision: Hit | FetchDecision): MaybePromise<Result>;
  /** Stores a response that was fetched elsewhere. Resolves to the reason if it was not stored, else to `null`. */
  store(key: string, toCandidate: () => MaybePromise<Candidate>): Promise<StoreRefusal | null>;
  /** Deletes stored responses; responses that are in flight are not stored. */
  invalidate(invalidation: Partial<Invalidation>): Promise<void>;
}

/**
 * Creates a {@link CacheEngine}.
 *
 * @throws TypeError if the name is not a token
 */
export function createCacheEngine<Call extends CacheCall, Fetched, Result>(
  options: CacheOptions,
  strategy: CacheStrategy<Call, Fetched, Result>,
): CacheEngine<Call, Result> {
  const { clock, coalescer = noCoalescing, onError = ignore, name = defaultName } = options;
  checkCacheName(name);
  const store = createGuardedStore(options.store, onError);

  function lookUp(call: Call): MaybePromise<Hit | FetchDecision> {
    const bypass = strategy.bypassReason(call);
    if (bypass !== null) return { kind: "bypass", reason: bypass };
    const entries = store.get(call.key);
    return entries instanceof Promise
      ? entries.then((found) => strategy.decide(call, found, clock.now()))
      : strategy.decide(call, entries, clock.now());
  }

  function proceed(call: Call, decision: Hit | FetchDecision): MaybePromise<Result> {
    if (decision.kind !== "hit") return coalesce(coalescer, steps, { call, decision, isCollapsed: null });
    if (decision.reason === "stale-while-revalidate") revalidateInBackground(call, decision);
    return strategy.fromStored(call, decision, null);
  }

  function revalidateInBackground(call: Call, { stored, ageMs, ttlMs }: Hit): void {
    const revalidation = strategy.toRevalidation(call);
    const decision: Revalidate = { kind: "revalidate", reason: "stale", stored, ageMs, ttlMs };
    revalidateOnce(
      coalescer,
      strategy.coalescingKey(revalidation, decision) ?? call.key,
      () => exchange({ call: revalidation, decision, isCollapsed: null }),
      call.background ?? options.background ?? ignore,
      (cause) => onError("background", cause),
    );
  }

  const steps: CoalescingSteps<Call, Result> = {
    keyOf: ({ call, decision }) => strategy.coalescingKey(call, decision),
    exchange,
    async lookAgain(pending) {
      const { call } = pending;
      const decision = await lookUp(call);
      if (decision.kind !== "hit") return { pending: { ...pending, decision } };
      return { result: strategy.fromStored(call, decision, toForwarded({ ...pending, isCollapsed: true })) };
    },
  };

  async function exchange(pending: PendingFetch<Call>): Promise<Exchanged<Result>> {
    const { call, decision } = pending;
    const inFlight = store.begin(call.key);
    try {
      const fetched = await strategy.fetch(call, decision);
      const stale = strategy.isError(fetched) ? serveStaleOnError(pending, "error-status") : null;
      if (stale !== null) {
        strategy.discard?.(fetched);
        return stale;
      }
      const invalidation = strategy.invalidatedBy?.(call, fetched) ?? null;
      if (invalidation !== null) await inFlight.invalidateOthers(invalidation);
      const candidate = await strategy.toCandidate(call, decision, fetched);
      const refusal = await put(inFlight, candidate);
      const isOutdated = decision.kind === "revalidate" && refusal !== null && invalidatesStored(refusal);
      if (isOutdated && candidate.describesResource) await store.delete(call.key);
      const storage = { entry: candidate.entry, refusal };
      return {
        result: strategy.fromFetched(call, decision, fetched, storage, toForwarded(pending)),
        outcome: outcomeOf(candidate, refusal),
      };
    } catch (cause) {
      const stale = call.signal?.aborted === true ? null : serveStaleOnError(pending, "unreachable");
      if (stale === null) throw cause;
      return stale;
    } finally {
      inFlight.end();
    }
  }

  function serveStaleOnError(pending: PendingFetch<Call>, failure: UpstreamFailure): Exchanged<Result> | null {
    const { call, decision } = pending;
    if (decision.kind !== "revalidate") return null;
    const { stored } = decision;
    const ageMs = currentAgeMs(stored, clock.now());
    const reason = strategy.staleOnErrorReason(call, decision, ageMs, failure);
    if (reason === null) return null;
    const use = { reason, stored, ageMs, ttlMs: stored.freshForMs - ageMs };
    return { result: strategy.fromStored(call, use, toForwarded(pending)), outcome: "failed" };
  }

  return {
    lookUp,
    proceed,
    async store(key, toCandidate) {
      const inFlight = store.begin(key);
      try {
        return await put(inFlight, await toCandidate());
      } finally {
        inFlight.end();
      }
    },
    invalidate: (invalidation) => store.invalidate(invalidation),
  };
}

function ignore(): void {}

async function put(inFlight: InFlightRequest, { entry, refusal }: Candidate): Promise<StoreRefusal | null> {
  return refusal === null ? inFlight.put(entry) : refusal;
}

/** True if a response that was not stored shows that the stored one is outdated. False if the reason lies in this request alone. */
function invalidatesStored(refusal: StoreRefusal): boolean {
  return refusal !== "authorization" && refusal !== "request-no-store" && refusal !== "outdated";
}

/** What to tell calls that waited. A refusal for one client, or an error, says nothing about the response that the next one gets. */
function outcomeOf({ entry, describesResource }: Candidate, refusal: StoreRefusal | null): FetchOutcome {
  if (refusal === null && entry !== null && isShareable(entry)) return "stored";
  // The response is from before a change. Another call has to fetch again, but its response can be shared.
  if (refusal === "outdated") return "failed";
  return describesResource ? "unshared" : "failed";
}

/** True if calls that waited can use the entry without validating it. */
function isShareable({ validatesAlways, freshForMs, initialAgeMs, staleWhileRevalidateMs }: CacheEntry): boolean {
  return !validatesAlways && freshForMs + staleWhileRevalidateMs > initialAgeMs;
}

function toForwarded<Call extends CacheCall>({ decision, isCollapsed }: PendingFetch<Call>): Forwarded {
  if (decision.kind === "bypass") return { reason: decision.reason === "method" ? "method" : "bypass", isCollapsed };
  if (decision.kind === "miss") return { reason: decision.reason, isCollapsed };
  return { reason: decision.reason.startsWith("request-") ? "request" : "stale", isCollapsed };
}
