/** The cache settings: which responses are stored, for how long, and which principals see that a response comes from the cache. */
import type { CacheEntry } from "@letta-environments/http-cache";
import { type DecodedRequest, isUserHidden, type Operation, type Principal } from "@letta-environments/schema";
import type { UpstreamSettings } from "../upstream/settings.ts";

/**
 * How long a response is used, in milliseconds: fresh, stale while a newer one is fetched, and stale when the upstream fails. The last two are
 * both counted from the end of freshness.
 */
export type CacheTtls = Pick<CacheEntry, "freshForMs" | "staleWhileRevalidateMs" | "staleIfErrorMs">;

/** The TTLs of an operation by response status. Responses with another status are not stored. */
export type TtlsByStatus = ReadonlyMap<number, CacheTtls>;

/**
 * Every response that the gateway caches, with the reasons for its TTLs. Authentication, rate limits and the request log run before the cache. With
 * the embedded server, a change of a row immediately invalidates the responses that show it, so the TTLs only limit how old a heartbeat can be.
 *
 * - Lists and devices are fresh for 2 seconds. Pages and scripts poll every few seconds, and a device goes offline 120 seconds after its last
 *   heartbeat, so 2 more seconds do not matter. For another 3 seconds, callers immediately get the stale response while a newer one is fetched.
 * - When the upstream fails, a response that stopped being fresh less than 60 seconds ago replaces the error, unless the caller requested a new one
 *   (`no-cache`). It is more useful than an error, and a send does not depend on it. Errors that an operator has to fix are never replaced
 *   (`isReplaceableError`).
 * - Callers that wait for a missing device poll for it. One second limits these requests, and a registration invalidates the 404 immediately.
 * - Sends, registrations and sockets are never cached.
 */
export const cacheTtls: Readonly<Partial<Record<Operation, TtlsByStatus>>> = {
  // 0-2 s fresh, 2-5 s stale while refetched, up to 62 s in place of an error.
  listEnvironments: new Map([[200, { freshForMs: 2_000, staleWhileRevalidateMs: 3_000, staleIfErrorMs: 60_000 }]]),
  retrieveEnvironment: new Map([
    // As above.
    [200, { freshForMs: 2_000, staleWhileRevalidateMs: 3_000, staleIfErrorMs: 60_000 }],
    // 0-1 s fresh, never stale.
    [404, { freshForMs: 1_000, staleWhileRevalidateMs: 0, staleIfErrorMs: 0 }],
  ]),
};

/** Returns the TTLs of the responses to an authorised request; `undefined` if they are never cached. */
export function cacheTtlsOf(principal: Principal, decoded: DecodedRequest): TtlsByStatus | undefined {
  // Such a list is always empty.
  if (decoded.operation === "listEnvironments" && isUserHidden(principal, decoded.query.userId)) return undefined;
  return cacheTtls[decoded.operation];
}

/** Where cached responses can be stored. On Workers, their Cache API takes the place of `memory`. */
export const cacheStoreNames = ["memory", "valkey"] as const;

/** One of the {@link cacheStoreNames}. */
export type CacheStoreName = (typeof cacheStoreNames)[number];

/** The settings of the cache. */
export interface CacheSettings {
  readonly store: CacheStoreName;
  readonly maxBytes: number;
  readonly maxEntries: number;
  readonly statusFor: CacheStatusAudience;
}

/** The principals that get `Cache-Status`. It reveals whether another caller made this request recently. */
export const cacheStatusAudiences = ["everybody", "details", "nobody"] as const;

export type CacheStatusAudience = (typeof cacheStatusAudiences)[number];

/** The settings of one gateway over the cache. Requests that are in flight keep the settings they started with. */
export interface EnvironmentCacheScope {
  /** Identifies the upstream, so that responses of another upstream are never used. */
  readonly upstream: string;
  /** Whether a principal gets `Cache-Status`. */
  readonly showsStatus: (principal: Principal) => boolean;
}

/** Derives the scope of a gateway from its settings. */
export function cacheScopeOf({
  cache,
  upstream,
}: {
  readonly cache: CacheSettings | null;
  readonly upstream: UpstreamSettings;
}): EnvironmentCacheScope {
  const statusFor = cache?.statusFor;
  return {
    upstream: upstream.kind === "http" ? `${upstream.baseUrl.origin}${upstream.baseUrl.basePath}` : "embedded",
    showsStatus: ({ scopes }) => statusFor === "everybody" || (statusFor === "details" && scopes.has("details")),
  };
}
