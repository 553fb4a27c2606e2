/**
 * Opens the stores that all requests share: sends in Valkey, the counters of the rate limits, and the cached responses. They are opened once at the
 * start. Each gateway that is composed, also after a reload, gets a limiter and a cache over the same stores.
 */
import { CommandError } from "@letta-environments/command-line";
import { type CacheStore, createMemoryCacheStore } from "@letta-environments/http-cache";
import { type Clock, createAnchoredClock } from "@letta-environments/platform";
import { sha256Hex, systemClock } from "@letta-environments/platform/node";
import type { LogEvent } from "../../adapters/log-event.ts";
import { logStoreEvents } from "../../adapters/log.ts";
import { createMemoryRateLimitStore } from "../../adapters/memory/rate-limit-store.ts";
import { limitsFile } from "../../adapters/node/data-dir.ts";
import { openStore } from "../../adapters/node/open-store.ts";
import { createSqliteRateLimitStore } from "../../adapters/sqlite/rate-limit-store.ts";
import { createValkeyCacheStore, KnownOutageError } from "../../adapters/valkey/cache-store.ts";
import { assertDurableValkey } from "../../adapters/valkey/server-info.ts";
import { createValkeyIdempotencyStore } from "../../adapters/valkey/idempotency-store.ts";
import { createValkeyRateLimitStore } from "../../adapters/valkey/rate-limit-store.ts";
import { createEnvironmentCache, type EnvironmentCache } from "../../cache/environment-cache.ts";
import { cacheScopeOf, type CacheSettings } from "../../cache/policy.ts";
import type { Settings } from "../../config/settings.ts";
import type { IdempotencyStore } from "../../idempotency/store.ts";
import { createRateLimiter, type RateLimiter } from "../../rate-limit/limiter.ts";
import type { RateLimitStore } from "../../rate-limit/store.ts";
import { describeValkey, openValkey } from "./keys.ts";

/** An open store. */
export interface Opened<Store> {
  readonly store: Store;
  close(): void;
}

/**
 * Opens the store that remembers sends to a remote upstream in Valkey. Without Valkey they are in the file of the audit log, see `audit.ts`.
 *
 * @throws CommandError if Valkey may forget what it has confirmed, or does not respond
 */
export async function openValkeySends(valkeyUrl: string): Promise<Opened<IdempotencyStore>> {
  const connection = await openValkey(valkeyUrl);
  const close = (): void => void connection.close();
  try {
    await assertDurableValkey(connection);
  } catch (cause) {
    close();
    const reason = cause instanceof CommandError ? cause.message : `${describeValkey(valkeyUrl)} cannot be used`;
    throw new CommandError(`VALKEY_URL: ${reason}`, 1, { cause });
  }
  return { store: createValkeyIdempotencyStore(connection), close };
}

/** The open store of rate limits. */
export interface OpenRateLimits {
  /** Creates a limiter with these settings; `null` if nothing is limited. All limiters count in the same store. */
  limiterFor(settings: Settings): RateLimiter | null;
  close(): void;
}

/**
 * Opens the store of rate limits that the settings name. Valkey may be unavailable: until it responds, each policy falls back as
 * its settings say.
 *
 * @throws CommandError if a file cannot be opened
 */
export async function openRateLimits(settings: Settings, log: (event: LogEvent) => void): Promise<OpenRateLimits> {
  const localStore = createMemoryRateLimitStore(systemClock);
  const { store, close } = (await openRateLimitStore(settings)) ?? { store: localStore, close: () => undefined };
  return {
    limiterFor({ rateLimits: { deadlineMs, instances, limits } }) {
      if (limits.length === 0) return null;
      const onDegraded = logStoreEvents(log);
      return createRateLimiter({ store, localStore, clock: systemClock, deadlineMs, instances, onDegraded });
    },
    close,
  };
}

/** How long after the deadline the connection still accepts a response of Valkey, in milliseconds. */
const lateResponseMs = 10_000;

async function openRateLimitStore({
  dataDir,
  valkeyUrl,
  rateLimits,
}: Settings): Promise<Opened<RateLimitStore> | null> {
  switch (rateLimits.store) {
    case "memory":
      return null;
    case "sqlite": {
      const { store, database } = await openStore(
        dataDir,
        limitsFile,
        (opened) => createSqliteRateLimitStore(opened, systemClock, rateLimits.deadlineMs),
        { migrates: true },
      );
      return { store, close: () => database.close() };
    }
    case "valkey": {
      if (valkeyUrl === null) throw new CommandError("rateLimits.store: valkey needs VALKEY_URL", 1);
      // The limiter enforces the deadline and logs failures. The connection waits longer, so that the lease of a late response is
      // released.
      const connection = await openValkey(valkeyUrl, { timeoutMs: rateLimits.deadlineMs + lateResponseMs });
      return { store: createValkeyRateLimitStore(connection), close: () => void connection.close() };
    }
  }
}

/** The open store of cached responses. */
export interface OpenEnvironmentCache {
  /** Creates the cache of a gateway with these settings; `null` if nothing is cached. All caches share their responses. */
  cacheFor(settings: Pick<Settings, "cache" | "upstream">): EnvironmentCache | null;
  close(): void;
}

/** Opens the cache that the settings name. While Valkey is unavailable, every request is a cache miss. */
export async function openEnvironmentCache(
  { cache, valkeyUrl }: Pick<Settings, "cache" | "valkeyUrl">,
  log: (event: LogEvent) => void,
): Promise<OpenEnvironmentCache> {
  if (cache === null) return { cacheFor: () => null, close: () => undefined };
  const { store, clock, close } = await openCacheStore(cache, valkeyUrl, (durationMs) =>
    log({ type: "cache_recovered", durationMs }),
  );
  const createView = createEnvironmentCache({
    store,
    clock,
    sha256: sha256Hex,
    onError(operation, cause) {
      if (!(cause instanceof KnownOutageError)) log({ type: "cache_failed", operation, cause });
    },
  });
  return { cacheFor: (settings) => createView(cacheScopeOf(settings)), close };
}

/** How long a cache lookup waits for Valkey, in milliseconds, before it counts as a miss. */
const cacheTimeoutMs = 100;

/** Opens the store, and returns the clock of its entries: wall time where processes share them, else steady time. */
async function openCacheStore(
  { store, maxBytes, maxEntries }: CacheSettings,
  valkeyUrl: string | null,
  onRecovered: (durationMs: number) => void,
): Promise<Opened<CacheStore> & { readonly clock: Clock }> {
  switch (store) {
    case "memory": {
      const clock = createAnchoredClock(systemClock);
      return { store: createMemoryCacheStore({ maxBytes, maxEntries, clock }), clock, close: () => undefined };
    }
    case "valkey": {
      if (valkeyUrl === null) throw new CommandError("cache.store: valkey needs VALKEY_URL", 1);
      const connection = await openValkey(valkeyUrl, { timeoutMs: cacheTimeoutMs });
      return {
        store: createValkeyCacheStore(connection, systemClock, sha256Hex, { maxBytes, maxEntries, onRecovered }),
        clock: systemClock,
        close: () => void connection.close(),
      };
    }
  }
}
