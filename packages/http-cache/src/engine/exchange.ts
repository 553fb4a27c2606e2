/** One fetch from the origin and all that follows from it. Whether to fetch, and who waits for it, is decided before. */
import { type CacheEntry, type Clock, currentAgeMs, type FetchOutcome, type MaybePromise } from "../ports.ts";
import type { Exchanged, PendingFetch } from "./coalesce.ts";
import type { GuardedStore, InFlightRequest } from "./guarded-store.ts";
import type { CacheCall, CacheStrategy, Candidate, FetchDecision, Forwarded, StoreRefusal } from "./strategy.ts";

const none: readonly string[] = [];

/**
 * Returns the function that makes one fetch: it sends the request, serves a stale response if that fails, applies invalidations, stores the response
 * or deletes the one that it outdates, and builds the result. It rejects like the strategy's `fetch`. A fetch in the background has no client for a
 * stale response, so it always rejects if there is no response.
 */
export function createExchange<Call extends CacheCall, Fetched, Result>(
  strategy: CacheStrategy<Call, Fetched, Result>,
  store: GuardedStore,
  clock: Clock,
): (pending: PendingFetch<Call>, isBackground?: boolean) => Promise<Exchanged<Result>> {
  function serveStaleOnError(pending: PendingFetch<Call>, errorStatus: number | null): Exchanged<Result> | null {
    const { call, decision } = pending;
    if (decision.kind !== "revalidate") return null;
    const { stored } = decision;
    const ageMs = currentAgeMs(stored, clock.now());
    const failure = errorStatus === null ? "unreachable" : "error-status";
    const reason = strategy.staleOnErrorReason(call, decision, ageMs, failure);
    if (reason === null) return null;
    const use = { reason, stored, ageMs, ttlMs: stored.freshForMs - ageMs };
    return { result: strategy.fromStored(call, use, { ...toForwarded(pending), errorStatus }), outcome: "failed" };
  }

  return async (pending, isBackground = false) => {
    const { call, decision } = pending;
    const groups = strategy.groupsBefore === undefined ? none : strategy.groupsBefore(call);
    let inFlight = store.begin(call.key, groups);
    const restartRecency = async (): Promise<void> => {
      inFlight.end();
      inFlight = store.begin(call.key, groups);
      await inFlight.ready;
    };
    try {
      if (inFlight.ready !== null) await inFlight.ready;
      const fetched = await strategy.fetch(call, decision, restartRecency);
      const errorStatus = strategy.errorStatus(fetched);
      const stale = errorStatus === null ? null : serveStaleOnError(pending, errorStatus);
      if (stale !== null) {
        strategy.discard?.(fetched);
        return stale;
      }
      const invalidation = strategy.invalidatedBy?.(call, fetched) ?? null;
      if (invalidation !== null) await inFlight.invalidateOthers(invalidation);
      const derived = strategy.toCandidate(call, decision, fetched);
      const candidate = derived instanceof Promise ? await derived : derived;
      const stored = put(inFlight, candidate);
      const refusal = stored instanceof Promise ? await stored : stored;
      if (candidate.describesResource && refusal !== null && showsChange(refusal, decision))
        await inFlight.invalidateStored(candidate.recency, decision.kind === "revalidate");
      const storage = { entry: candidate.entry, refusal };
      return {
        result: strategy.fromFetched(call, decision, fetched, storage, toForwarded(pending)),
        outcome: outcomeOf(candidate, refusal, inFlight),
      };
    } catch (cause) {
      const hasClient = !isBackground && call.signal?.aborted !== true;
      const stale = hasClient ? serveStaleOnError(pending, null) : null;
      if (stale === null) throw cause;
      return stale;
    } finally {
      inFlight.end();
    }
  };
}

/** Stores a candidate that has no refusal. Returns the reason if it was not stored, else `null`. */
export function put(
  inFlight: InFlightRequest,
  { entry, refusal, recency }: Candidate,
): MaybePromise<StoreRefusal | null> {
  return refusal === null ? inFlight.put(entry, recency) : refusal;
}

/** Refusals that say nothing about the resource: the reason is specific to this request, or a newer response is known. */
const silentRefusals: ReadonlySet<StoreRefusal> = new Set([
  "outdated",
  "superseded",
  "authorization",
  "request-no-store",
]);
/** Refusals that would apply to the responses for other clients too, and a store that failed. */
const generalRefusals: ReadonlySet<StoreRefusal> = new Set([
  "no-store",
  "vary-star",
  "no-freshness",
  "too-large",
  "store-failed",
]);

/**
 * True if a response that was not stored shows that the stored ones are outdated. If none of the stored ones matched the request, they belong to
 * other clients, and only a refusal that would also apply to these clients counts.
 */
function showsChange(refusal: StoreRefusal, { kind }: FetchDecision): boolean {
  if (kind === "bypass") return false;
  return kind === "revalidate" ? !silentRefusals.has(refusal) : generalRefusals.has(refusal);
}

/** The outcome for calls that waited. A refusal for one client, or an error, says nothing about the response that the next one gets. */
function outcomeOf(
  { entry, describesResource }: Candidate,
  refusal: StoreRefusal | null,
  inFlight: InFlightRequest,
): FetchOutcome {
  if (refusal === null && entry !== null && isShareable(entry)) return "stored";
  // Calls that waited use the newer response, if they can read it already.
  if (refusal === "superseded") return inFlight.isNewerUnread() ? "failed" : "stored";
  // The response is older than a change. Another call must fetch again, but its response can be shared.
  if (refusal === "outdated") return "failed";
  return describesResource ? "unshared" : "failed";
}

/** True if calls that waited can use the entry without validating it. */
function isShareable({ validatesAlways, freshForMs, initialAgeMs, staleWhileRevalidateMs }: CacheEntry): boolean {
  return !validatesAlways && freshForMs + staleWhileRevalidateMs > initialAgeMs;
}

/** Why a pending fetch is forwarded, in the terms of `Cache-Status`. */
export function toForwarded<Call extends CacheCall>({ decision, isCollapsed }: PendingFetch<Call>): Forwarded {
  if (decision.kind === "bypass") return { reason: decision.reason === "method" ? "method" : "bypass", isCollapsed };
  if (decision.kind === "miss") return { reason: decision.reason, isCollapsed };
  return { reason: decision.reason.startsWith("request-") ? "request" : "stale", isCollapsed };
}
