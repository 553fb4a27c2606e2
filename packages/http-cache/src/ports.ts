/** The ports of the cache: its store with its entries, the clock, work in the background, and how concurrent requests share a fetch. */
import type { HeaderRecord } from "./fields/header-record.ts";

/** A value, or a promise of it. A memory store returns plain values, so a cache hit needs no promise. */
export type MaybePromise<Value> = Value | Promise<Value>;

/** The current time. */
export interface Clock {
  /** Epoch milliseconds. The clock may jump; see `isClockBehind`. */
  now(): number;
}

/** Keeps work alive after the response was sent, such as `context.waitUntil`. The promise never rejects. */
export type Background = (work: Promise<unknown>) => void;

/** A stored response: plain data that a store may serialise. All times are in milliseconds. */
export interface CacheEntry {
  readonly status: number;
  /** Without `age`, which is computed, and without connection-specific fields. */
  readonly headers: HeaderRecord;
  /** The whole body. Do not write to it: it may be a view of memory that other readers share. */
  readonly body: Uint8Array;
  /** Lower-case field names from `Vary`, or from the variant that a response without `Vary` has replaced; empty if only the key counts. */
  readonly vary: readonly string[];
  /** The normalised request values of the fields in `vary`, in the same order. */
  readonly variant: readonly string[];
  /** When the response arrived, in epoch milliseconds. */
  readonly receivedAtMs: number;
  /** The age of the response on arrival (RFC 9111, 4.2.3: corrected initial age). */
  readonly initialAgeMs: number;
  /** The freshness lifetime (RFC 9111, 4.2.1). */
  readonly freshForMs: number;
  /** How long after `freshForMs` the response may be used while a newer one is fetched (RFC 5861, 3). */
  readonly staleWhileRevalidateMs: number;
  /** How long after `freshForMs` the response may replace an error (RFC 5861, 4). */
  readonly staleIfErrorMs: number;
  /** True for `no-cache`: each use must be validated. */
  readonly validatesAlways: boolean;
  /** True if the response must not be used stale: `must-revalidate`, in a shared cache also `proxy-revalidate` and `s-maxage`. */
  readonly isNeverStale: boolean;
  /** True for `immutable` (RFC 8246). */
  readonly isImmutable: boolean;
  /** A store may drop the entry from this time on, in epoch milliseconds. */
  readonly keepUntilMs: number;
  /** Keys of the groups by which the entry can be invalidated. */
  readonly groups: readonly string[];
}

/**
 * Stores responses. A key holds one entry for each variant of a resource. `get` returns entries exactly as they were put, and the
 * returned values never change afterwards. A store may drop any entry at any time. When `delete` or `deleteGroup` resolves, the entries
 * must no longer be returned. Test an implementation with `storeContract` from `./testing`.
 */
export interface CacheStore {
  /** Returns all entries under a key; an empty list if there are none. */
  get(key: string): MaybePromise<readonly CacheEntry[]>;
  /**
   * Stores an entry and replaces the entry of the same variant (`isSameVariant`). A store copies the body before `put` ends, because the client that
   * triggered the fetch gets the same bytes and may write to them.
   */
  put(key: string, entry: CacheEntry): MaybePromise<void>;
  /** Deletes all variants of a resource. */
  delete(key: string): MaybePromise<void>;
  /** Deletes every entry of a group. */
  deleteGroup(group: string): MaybePromise<void>;
  /**
   * For stores that several processes share. Called before a response is requested, with the groups known at that time. The response is stored with
   * the returned function instead of `put`, so that the store can notice deletions by other processes. The cache itself tracks deletions by its own
   * process.
   */
  begin?(key: string, groups: readonly string[]): MaybePromise<PutFetched>;
}

/**
 * Stores a response like `put`. If any process has deleted its key or one of its groups since it was requested, `get` must not return it. If the
 * store can tell, the response should not replace one of the same variant that another process requested later. Returns false if the store knows that
 * the response was not stored. After a deletion of the key it must know this, unless the contract runs with `noticesDeletedKeys: false`.
 */
export type PutFetched = (entry: CacheEntry) => MaybePromise<boolean>;

/**
 * How a leader's fetch ended. `stored`: its followers read the store. `unshared`: the response is for this request only, and they fetch on
 * their own. `failed`, or `abandoned` because the client went away: one of them may lead.
 */
export type FetchOutcome = "stored" | "unshared" | "failed" | "abandoned";

/** The next step of a follower: `look-up` in the store again, `fetch-alone` without coordination, or lead the others, with the handle of a leader. */
export type FollowerAction = "look-up" | "fetch-alone" | Leader;

/** The one request for a key that goes to the origin while the others wait. */
export interface Leader {
  readonly role: "leader";
  /** Call this once. Later calls have no effect. */
  settle(outcome: FetchOutcome): void;
}

/** A request that waits for the leader of its key. */
export interface Follower {
  readonly role: "follower";
  readonly action: Promise<FollowerAction>;
  /** Stops waiting. */
  leave(): void;
}

/** A request that fetches without coordination, because recent responses for its key could not be shared. */
export interface Solo {
  readonly role: "solo";
}

/**
 * Turns concurrent misses of one key into one request to the origin. A coalescer never passes on a response. It only tells followers what to do
 * next, and they read the store like any other request, so a response that must not be shared never reaches them. On Cloudflare
 * Workers, where a promise must not cross requests, use a coalescer that gives each request its own promise, or `noCoalescing`.
 */
export interface Coalescer {
  /**
   * Registers a request that is about to go to the origin. A leader that got its role through a promise checks the store again, because the
   * previous leader may have finished in the meantime. The promises of a coalescer never reject: a coalescer that fails returns a solo role.
   */
  enter(key: string): MaybePromise<Leader | Follower | Solo>;
}

/** The requests that an entry is for. */
export type Variant = Pick<CacheEntry, "vary" | "variant">;

/** True if two entries are variants for the same requests, so that one replaces the other. */
export function isSameVariant(left: Variant, right: Variant): boolean {
  return haveSameItems(left.vary, right.vary) && haveSameItems(left.variant, right.variant);
}

/** True if two lists have equal items in the same order. */
export function haveSameItems(left: readonly string[], right: readonly string[]): boolean {
  if (left === right) return true;
  return left.length === right.length && left.every((item, index) => item === right[index]);
}

/** The current age of a stored response, in milliseconds (RFC 9111, 4.2.3). */
export function currentAgeMs({ initialAgeMs, receivedAtMs }: CacheEntry, nowMs: number): number {
  return initialAgeMs + Math.max(0, nowMs - receivedAtMs);
}

/** True if the clock is more than a second behind the arrival of the response. Its age is then unknown, so it must be validated. */
export function isClockBehind({ receivedAtMs }: CacheEntry, nowMs: number): boolean {
  return nowMs < receivedAtMs - 1_000;
}
