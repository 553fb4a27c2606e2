/**
 * The engine (`engine.ts`) runs the life of a cached response: look up, use it fresh or stale, coalesce, fetch, store, serve stale on error,
 * revalidate in the background, invalidate. Everything that depends on the kind of cache is a decision of its strategy. There are two: the
 * response cache, where lifetimes are data, and RFC 9111, where requests and responses are interpreted.
 */
import type { Background, CacheEntry, MaybePromise, Variant } from "../ports.ts";

/** The decisions of one kind of cache. */
export interface CacheStrategy<Call extends CacheCall, Fetched, Result> {
  /** Why a call skips the lookup; `null` if it does not. */
  bypassReason(call: Call): BypassReason | null;
  /** Decides whether one of the stored entries under the call's key can be used. */
  decide(call: Call, entries: readonly CacheEntry[], nowMs: number): Hit | Revalidate | Miss;
  /** Calls with the same coalescing key wait for each other; `null` if the call must not wait. */
  coalescingKey(call: Call, decision: FetchDecision): string | null;
  /**
   * The groups of the response that are known before it is fetched; `null` if nothing will be stored. Default: none. See
   * `CacheStore.begin`.
   */
  groupsBefore?(call: Call): readonly string[] | null;
  /** The call that refreshes a stale entry in the background, after the response was sent. */
  toRevalidation(call: Call): Call;
  /**
   * Fetches from the origin, with conditions if an entry is to be validated. Rejects if there is no response. Before it sends a second request, it
   * awaits `restartRecency`; then only the second one counts.
   */
  fetch(call: Call, decision: FetchDecision, restartRecency: () => Promise<void>): Promise<Fetched>;
  /** The status of the fetched response if a stale response may be served instead; otherwise `null`. */
  errorStatus(fetched: Fetched): number | null;
  /** Why the stale entry may be served after a failure; `null` if it may not. */
  staleOnErrorReason(call: Call, decision: Revalidate, ageMs: number, failure: UpstreamFailure): ErrorReason | null;
  /** Releases a fetched response that is not used. Default: nothing to release. */
  discard?(fetched: Fetched): void;
  /** Releases the result of a background fetch, which nobody receives. Default: nothing to release. */
  release?(result: Result): void;
  /** The stored responses that a fetched response makes invalid. Default: none. */
  invalidatedBy?(call: Call, fetched: Fetched): Invalidation | null;
  /** The entry to store for a fetched response, or why it must not be stored. */
  toCandidate(call: Call, decision: FetchDecision, fetched: Fetched): Candidate | Promise<Candidate>;
  /** The result of a call that is served from the store. `forwarded` is `null` for a plain hit. */
  fromStored(call: Call, use: StoredUse, forwarded: Forwarded | null): Result;
  /** The result of a call that was fetched. */
  fromFetched(call: Call, decision: FetchDecision, fetched: Fetched, storage: Storage, forwarded: Forwarded): Result;
}

/** One use of a cache. */
export interface CacheCall {
  /** The primary key in the store. */
  readonly key: string;
  /** Aborts when the client goes away. */
  readonly signal: AbortSignal | undefined;
  /** Replaces the cache's own {@link Background} for this call. */
  readonly background?: Background | undefined;
}

/** Why a request is not looked up: its method, its `no-store`, or a precondition that only the origin can evaluate. */
export type BypassReason = "method" | "no-store" | "precondition";
/** Why a stored response is used. */
export type HitReason = "fresh" | "max-stale" | "stale-while-revalidate";
/** Why a stored response must be validated first. */
export type RevalidateReason =
  | "stale"
  | "no-cache"
  | "clock"
  | "request-no-cache"
  | "request-max-age"
  | "request-min-fresh";
/** Why a stale response is served although the origin failed. */
export type ErrorReason = "stale-if-error" | "unreachable";
/** How the origin failed: with an error status (RFC 5861, 4), or without a response. */
export type UpstreamFailure = "error-status" | "unreachable";
/** Why a request is forwarded (RFC 9211, 2.2). */
export type ForwardReason = "bypass" | "method" | "uri-miss" | "vary-miss" | "request" | "stale";

/** A stored response, and why it is used. */
export interface StoredUse {
  readonly reason: HitReason | ErrorReason;
  readonly stored: CacheEntry;
  readonly ageMs: number;
  /** Remaining freshness in milliseconds; negative if stale. */
  readonly ttlMs: number;
}

/** A stored response may be sent. */
export interface Hit extends StoredUse {
  readonly kind: "hit";
  readonly reason: HitReason;
}

/** A stored response must be validated or replaced. */
export interface Revalidate extends Omit<StoredUse, "reason"> {
  readonly kind: "revalidate";
  readonly reason: RevalidateReason;
}

/** Nothing stored can be used. */
export interface Miss {
  readonly kind: "miss";
  readonly reason: "uri-miss" | "vary-miss";
  /** The field names by which the stored variants of the resource vary; empty if there are none. */
  readonly vary: readonly string[];
}

/** The request is not looked up. */
export interface Bypass {
  readonly kind: "bypass";
  readonly reason: BypassReason;
}

/** A decision to fetch from the origin. */
export type FetchDecision = Revalidate | Miss | Bypass;

/** Why a request was forwarded, or would have been without another request's response; for `Cache-Status`. */
export interface Forwarded {
  readonly reason: ForwardReason;
  /** True if it used another request's response, false if it waited for one in vain, `null` if there was no other request. */
  readonly isCollapsed: boolean | null;
  /** The status of the error that a stored response replaces; `null` if the origin did not respond. */
  readonly errorStatus?: number | null;
}

/** How new a response is, besides the order of the requests. */
export interface Recency {
  /** The `Date` of the response in epoch milliseconds; `null` if it has none or must be ignored. */
  readonly dateMs: number | null;
  /** True if the response updates the stored one and has no body itself. */
  readonly isUpdate: boolean;
  /** True if an entry of this variant is for the request of this response. */
  matches(variant: Variant): boolean;
}

/** The entry for a fetched response. An entry with a refusal is not stored, but can be sent. */
export type Candidate = {
  /** True if the response describes the current state of the resource. If it is not stored, the older entry is deleted. */
  readonly describesResource: boolean;
  readonly recency: Recency;
} & (
  | { readonly entry: CacheEntry; readonly refusal: null }
  | { readonly entry: CacheEntry | null; readonly refusal: StoreRefusal }
);

/** The outcome of storing a {@link Candidate}. */
export interface Storage {
  readonly entry: CacheEntry | null;
  /** `null` if the entry was stored. */
  readonly refusal: StoreRefusal | null;
}

/** Reads the entries under a key, and returns the one that `choose` selects. */
export type ReadStored = (
  choose: (entries: readonly CacheEntry[]) => CacheEntry | undefined,
) => MaybePromise<CacheEntry | undefined>;

/** Keys and groups whose stored responses are no longer valid. */
export interface Invalidation {
  readonly keys: readonly string[];
  readonly groups: readonly string[];
}

/** Why a response is not stored. Each is a token and appears in `Cache-Status`. */
export type StoreRefusal =
  | "method"
  | "precondition"
  | "status"
  | "redirected"
  | "request-no-store"
  | "no-store"
  | "private"
  | "authorization"
  | "vary-star"
  | "set-cookie"
  | "no-freshness"
  | "incomplete"
  | "too-large"
  | "outdated"
  | "superseded"
  | "store-failed";

/** True if a response with this status describes the resource itself, rather than this client's access or a failure. */
export function describesResource(status: number): boolean {
  return (status >= 200 && status < 400 && status !== 304) || status === 404 || status === 410;
}
