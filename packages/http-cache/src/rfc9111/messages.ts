/** Requests and responses as the decisions of RFC 9111 see them. Nothing is decided here. */
import type { StoreRefusal } from "../engine/strategy.ts";
import type { HeaderRecord } from "../fields/header-record.ts";
import { type CacheTarget, cacheKey } from "../key.ts";

/** A request as the client sent it, before fields were added or removed for the origin. */
export interface CacheRequest extends CacheTarget {
  /** Upper-case. Methods are case-sensitive. */
  readonly method: string;
  readonly headers: HeaderRecord;
  /**
   * Whether the client sent credentials (RFC 9111, 3.5). Default: the request has an `authorization` field. Set this if that field was removed
   * or added in transit.
   */
  readonly isAuthorised?: boolean;
  /** The primary key, if it was already computed with `cacheKey`. */
  readonly key?: string;
}

/** Status and header fields of a response from the origin. */
export interface ResponseHead {
  readonly status: number;
  readonly headers: HeaderRecord;
  /** True if redirects were followed, so that this is the response of another URL. It is neither stored nor used for validation. */
  readonly isRedirected?: boolean;
  /** True if a content coding was removed from the body, or may have been. Then `content-length` does not say whether the body is complete. */
  readonly isDecoded?: boolean;
}

/** When a request was sent and when its response arrived, in epoch milliseconds. */
export interface ExchangeTimes {
  readonly requestedAtMs: number;
  readonly receivedAtMs: number;
}

/** A body that has not been read, so that a response that is not stored can be streamed. */
export interface UnreadBody {
  /**
   * Reads the whole body. Resolves to `null` if it is larger than `maxBytes`; the whole body can still be sent. Rejects if the body is cut
   * off.
   */
  read(maxBytes: number): Promise<Uint8Array | null>;
  /** Releases a body that is not needed. */
  discard(): void;
}

/** A response from the origin. `Unread` is `never` if bodies are always read completely. */
export interface UpstreamResponse<Unread extends UnreadBody = never> extends ResponseHead {
  readonly body: Uint8Array | Unread;
}

/** The parts of a request that the cache decides. All other parts of the request are unchanged. */
export interface ForwardedRequest {
  readonly method: string;
  /** The client's fields. To validate a stored response, the cache's conditions replace the client's. */
  readonly headers: HeaderRecord;
  /** The client's signal; undefined for background work. */
  readonly signal: AbortSignal | undefined;
}

/** Sends a request to the origin. Rejects if there is no response. It can be called more than once, and after the client got its response. */
export type Forward<Unread extends UnreadBody = never> = (
  request: ForwardedRequest,
) => Promise<UpstreamResponse<Unread>>;

/** The outcome of a request, for logs and metrics. `Cache-Status` contains the same. */
export interface CacheReport {
  /** `stale`: a stale response was used because the origin failed. */
  readonly outcome: "hit" | "revalidated" | "stale" | "fetched" | "bypassed" | "unsatisfied";
  /** Why, as one token. */
  readonly reason: string;
  /** Why the origin's response was not stored; `null` if it was, or if there was none. */
  readonly refusal: StoreRefusal | null;
  /** True if another request's response was used, false if waiting for it was in vain, `null` if there was no other request. */
  readonly isCollapsed: boolean | null;
}

/** The response to the client. */
export interface CacheResponse<Unread extends UnreadBody = never> {
  readonly status: number;
  readonly headers: Record<string, string>;
  /** `null` if there is no body. Do not write to the bytes: they may be memory of the store. */
  readonly body: Uint8Array | Unread | null;
  readonly report: CacheReport;
}

/** The primary key of a request's resource. */
export function keyOf(request: CacheRequest): string {
  return request.key ?? cacheKey(request);
}

/** True if the client sent its own credentials. */
export function isAuthorised({ isAuthorised: stated, headers }: CacheRequest): boolean {
  return stated ?? headers["authorization"] !== undefined;
}
