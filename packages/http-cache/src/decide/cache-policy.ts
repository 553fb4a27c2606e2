/** How a cache decides. All times are in milliseconds. */
export interface CachePolicy {
  /** `shared`: answers go to more than one user, so `private` and `Authorization` forbid and `s-maxage` counts. */
  readonly mode: "shared" | "private";
  /** Lower-case names of targeted fields, the most specific first (RFC 9213); the first one that is present and valid replaces `Cache-Control` and `Expires`. */
  readonly targetedFields: readonly string[];
  /** Part of the time since `Last-Modified` for which an answer without explicit freshness is fresh (RFC 9111, 4.2.2); 0 turns it off. */
  readonly heuristicFraction: number;
  readonly heuristicMaxMs: number;
  /** How long an answer may be used after it has gone stale when the origin cannot be reached and nothing forbids it (RFC 9111, 4.2.4). */
  readonly staleIfUnreachableMs: number;
  /** How long a stale answer is kept, to be validated. */
  readonly keepStaleMs: number;
  /** Larger bodies are passed through and not stored. */
  readonly maxBodyBytes: number;
  /** False where clients may not make the cache ask the origin: their `Cache-Control` and `Pragma` are then ignored, but `no-store` and `only-if-cached`. */
  readonly honoursRequestDirectives: boolean;
  /** `store` is what RFC 9111, 7.3 says; `omit` stores the answer without its cookies; `refuse` does not store it. */
  readonly setCookie: "store" | "omit" | "refuse";
  /** Whether an answer in the one language that a request prefers matches it, whatever else its `Accept-Language` says. */
  readonly matchesContentLanguage: boolean;
}

const day = 86_400_000;

/** The defaults, and what differs from them. */
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
