import type { StoredResponse } from "./decide/stored-response.ts";

/** What is there at once where it can be, so that a hit in memory waits for nothing. */
export type MaybePromise<Value> = Value | Promise<Value>;

/** Time as a port. */
export interface Clock {
  /** Epoch milliseconds. It may jump; see `isClockBehind`. */
  now(): number;
}

/** Keeps work alive that outlasts the answer; `context.waitUntil` where there is one. The work never rejects. */
export type Background = (work: Promise<unknown>) => void;

/**
 * Where answers are kept. Under a key lie the variants of one resource. What is given back is what was put, the body byte for byte, and it
 * does not change afterwards. A store may forget anything at any time; it must not answer `delete` before the deleted is out of reach.
 * `storeContract` of `./testing` holds a store to this.
 */
export interface CacheStore {
  /** Everything stored under a key; empty when there is nothing. */
  get(key: string): MaybePromise<readonly StoredResponse[]>;
  /** Stores an answer in the place of the same variant (`isSameVariant`). The body is copied or will not be written to by anybody. */
  put(key: string, response: StoredResponse): MaybePromise<void>;
  /** Forgets all variants of a resource. */
  delete(key: string): MaybePromise<void>;
  /** Forgets every answer that belongs to a group. */
  deleteGroup(group: string): MaybePromise<void>;
}

/** How a flight ended: `stored` for the others to use, `unshared` when its answer is for nobody else, `failed`, or `abandoned` by its client. */
export type FlightOutcome = "stored" | "unshared" | "failed" | "abandoned";

/** What a follower does next: look into the cache again, go to the origin by itself, or take the lead. */
export type Turn = "look-up" | "go-alone" | LeadingFlight;

/** One request that goes to the origin while others of the same key wait. */
export interface LeadingFlight {
  readonly role: "leader";
  /** To be called once; later calls do nothing. */
  settle(outcome: FlightOutcome): void;
}

/** A request that waits for another one. */
export interface FollowingFlight {
  readonly role: "follower";
  readonly turn: Promise<Turn>;
  /** For a request that does not wait any longer. */
  leave(): void;
}

/** A request for which waiting was in vain lately. */
export interface SoloFlight {
  readonly role: "solo";
}

/**
 * Makes one request of many that miss at the same time. It hands over no answer, only turns: followers find what may be shared in the store,
 * by the same decision as everybody else, so what may not be shared cannot reach them. Where a promise must not cross requests
 * (Cloudflare Workers) the turns come from elsewhere, by a promise of each request's own; or `noCoalescing` is used.
 */
export interface Coalescer {
  /**
   * Enters a request that is to go to the origin. Who becomes a leader by a promise looks into the cache once more: the flight that it would have
   * followed may have ended meanwhile. No promise of a coalescer rejects: one that cannot tell lets the request go by itself.
   */
  enter(key: string): MaybePromise<LeadingFlight | FollowingFlight | SoloFlight>;
}
