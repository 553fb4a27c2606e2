/** The options of RFC 9111's decisions. All times are in milliseconds. */
export interface CachePolicy {
  /** `shared`: responses go to more than one user, so `private` and `Authorization` prevent storing, and `s-maxage` applies. */
  readonly mode: "shared" | "private";
  /** Lower-case names of targeted fields, the most specific first (RFC 9213). The first valid one replaces `Cache-Control` and `Expires`. */
  readonly targetedFields: readonly string[];
  /** Heuristic freshness as a fraction of the time since `Last-Modified` (RFC 9111, 4.2.2); 0 turns it off. */
  readonly heuristicFraction: number;
  readonly heuristicMaxMs: number;
  /** How long a stale response may be used if the origin cannot be reached and nothing forbids it (RFC 9111, 4.2.4). */
  readonly staleIfUnreachableMs: number;
  /** How long a stale response is kept for validation. */
  readonly keepStaleMs: number;
  /** Larger bodies are passed through and not stored. */
  readonly maxBodyBytes: number;
  /** False if clients must not be able to force requests to the origin: then only their `no-store` and `only-if-cached` apply. */
  readonly honoursRequestDirectives: boolean;
  /** `store` follows RFC 9111, 7.3; `omit` stores the response without its cookies; `refuse` does not store it. */
  readonly setCookie: "store" | "omit" | "refuse";
  /** Whether a response in the request's most preferred language matches it, whatever else `Accept-Language` contains. */
  readonly matchesContentLanguage: boolean;
}

const day = 86_400_000;

/** Completes a policy with the defaults. */
export function createPolicy(options: Partial<CachePolicy> = {}): CachePolicy {
  const mode = options.mode ?? "shared";
  return {
    mode,
    targetedFields: mode === "shared" ? ["cdn-cache-control"] : [],
    heuristicFraction: 0.1,
    heuristicMaxMs: day,
    staleIfUnreachableMs: day,
    keepStaleMs: day,
    maxBodyBytes: 1_048_576,
    honoursRequestDirectives: true,
    setCookie: "store",
    matchesContentLanguage: true,
    ...options,
  };
}
