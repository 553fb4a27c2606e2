import type { CacheEntry } from "@letta-environments/http-cache";
import type { Operation } from "@letta-environments/schema";

/** How long a response is used, in milliseconds: fresh, stale while a newer one is fetched, and stale when the upstream fails. */
export type CacheTtls = Pick<CacheEntry, "freshForMs" | "staleWhileRevalidateMs" | "staleIfErrorMs">;

/** The TTLs of an operation by response status. Responses with another status are not stored. */
export type TtlsByStatus = ReadonlyMap<number, CacheTtls>;

/**
 * Every response that the gateway caches, with the reasons for its TTLs. Authentication, rate limits and the request log run before the cache.
 * With the embedded server, a change of a row invalidates the responses that show it at once, so the TTLs only limit how old a heartbeat can be.
 *
 * - Lists and devices are fresh for 2 seconds. Pages and scripts poll every few seconds, and a device goes offline 120 seconds after its last
 *   heartbeat, so 2 more seconds do not matter. For another 3 seconds callers get the stale response at once while a newer one is fetched.
 * - When the upstream fails, a response from the last minute is more useful than an error. A send does not depend on it.
 * - Callers that wait for a missing device request it again and again. One second limits these requests, and a registration invalidates the 404 at once.
 * - Sends, registrations and sockets are never cached.
 */
export const cacheTtls: Readonly<Partial<Record<Operation, TtlsByStatus>>> = {
  listEnvironments: new Map([[200, { freshForMs: 2_000, staleWhileRevalidateMs: 3_000, staleIfErrorMs: 60_000 }]]),
  retrieveEnvironment: new Map([
    [200, { freshForMs: 2_000, staleWhileRevalidateMs: 3_000, staleIfErrorMs: 60_000 }],
    [404, { freshForMs: 1_000, staleWhileRevalidateMs: 0, staleIfErrorMs: 0 }],
  ]),
};

/** How answers to reads are kept. */
export interface CacheSettings {
  readonly store: "memory" | "valkey";
  readonly maxBytes: number;
  readonly maxEntries: number;
  readonly statusFor: CacheStatusAudience;
}

/** The principals that get `Cache-Status`. It reveals whether another caller made this request recently. */
export type CacheStatusAudience = "everybody" | "details" | "nobody";

/** Every {@link CacheStatusAudience}. */
export const cacheStatusAudiences: readonly CacheStatusAudience[] = ["everybody", "details", "nobody"];
