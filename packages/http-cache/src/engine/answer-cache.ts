import type { StoredResponse } from "../decide/stored-response.ts";
import type { HeaderRecord } from "../fields/header-record.ts";
import type { MaybePromise } from "../ports.ts";

/** What is stored of an answer, and for how long it is used. Times are finite, in milliseconds. */
export interface KeptAnswer {
  /** `date`, the time of arrival, is added. */
  readonly headers: HeaderRecord;
  readonly body: Uint8Array;
  readonly freshForMs: number;
  /** How much longer it is used while a newer one is asked for (RFC 5861, 3). */
  readonly staleWhileRevalidateMs: number;
  /** How long after its freshness it stands in for a failure (RFC 5861, 4). */
  readonly staleIfErrorMs: number;
  /** By these {@link AnswerCache.invalidateGroup} reaches it. */
  readonly groups: readonly string[];
}

/** What was asked for. */
export interface AskedAnswer<Value> {
  /** Given as it is to the one who asked, and to nobody else. */
  readonly value: Value;
  /** `null`: nothing of it is stored. */
  readonly kept: KeptAnswer | null;
  /** True where an older answer may stand in for it. */
  readonly isFailure: boolean;
}

/** What is given: what was asked for now, or what was stored before. */
export type GivenAnswer<Value> =
  | { readonly kind: "asked"; readonly value: Value; readonly cacheStatus: string }
  | {
      readonly kind: "stored";
      readonly stored: StoredResponse;
      readonly ageMs: number;
      /** An entry of `Cache-Status` (RFC 9211). */
      readonly cacheStatus: string;
    };

/** Asks for an answer. Called also behind one that was given stale, and then without a signal. */
export type Ask<Value> = (signal: AbortSignal | undefined) => Promise<AskedAnswer<Value>>;

/** What belongs to one request. */
export interface ReadOptions {
  /** Aborts when nobody waits any longer. */
  readonly signal?: AbortSignal;
  /** `no-cache`: asks in any case. `no-store`: asks, and keeps nothing. */
  readonly wish?: "no-cache" | "no-store" | null;
}

/** A cache of answers that come with their windows as data: no field of HTTP is read. */
export interface AnswerCache<Value extends { readonly status: number }> {
  /** Gives what is stored under a key, or asks. Rejects as `ask` does. Synchronous for a hit in a synchronous store. */
  read(key: string, ask: Ask<Value>, options?: ReadOptions): MaybePromise<GivenAnswer<Value>>;
  /** Forgets the answers of a group, also those that are on their way. */
  invalidateGroup(group: string): Promise<void>;
}
