import type { HeaderRecord } from "../fields/header-record.ts";
import type { CacheTarget } from "../keys/cache-key.ts";

/** A request as the client sent it: before anything was added to it or taken from it for the upstream. */
export interface CacheRequest extends CacheTarget {
  /** Upper-case, as methods are; they are case-sensitive. */
  readonly method: string;
  readonly headers: HeaderRecord;
  /**
   * Whether the request carried credentials of its own (RFC 9111, 3.5). Default: it has an `authorization` field. Say so where that field was
   * taken away or added on the way.
   */
  readonly isAuthorised?: boolean;
  /** The primary key, where it was made before by `cacheKey`. */
  readonly key?: string;
}

/** Status and fields of an answer from upstream. */
export interface ResponseHead {
  readonly status: number;
  readonly headers: HeaderRecord;
}
