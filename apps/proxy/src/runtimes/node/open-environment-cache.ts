import type { UpstreamSettings } from "../../upstream/settings.ts";
import { type CacheStore, createMemoryCacheStore } from "@letta-environments/http-cache";
import { sha256Hex, systemClock } from "@letta-environments/platform/node";
import type { LogEvent } from "../../adapters/log.ts";
import { createValkeyCacheStore } from "../../adapters/valkey/cache-store.ts";
import { createEnvironmentCache, type EnvironmentCache } from "../../cache/environment-cache.ts";
import type { CacheSettings } from "../../cache/ttls.ts";
import type { Settings } from "../../config/settings.ts";

/** How long a read waits for Valkey, in milliseconds, before it is a miss. */
const valkeyTimeoutMs = 100;

/** The cache of answers, and the end of what it is kept in. */
export interface OpenEnvironmentCache {
  /** The cache for a gateway with these settings; `null` where nothing is kept. All of them keep their answers in the same store. */
  cacheFor(settings: Pick<Settings, "cache" | "upstream">): EnvironmentCache | null;
  close(): void;
}

/**
 * Opens the cache of answers that the settings ask for at the start. Valkey may be away: then everything is a miss. What may change
 * while the gateway runs, the upstream and who is shown `Cache-Status`, is told for each gateway that is composed.
 */
export async function openEnvironmentCache(
  { cache, valkeyUrl }: Pick<Settings, "cache" | "valkeyUrl">,
  log: (event: LogEvent) => void,
): Promise<OpenEnvironmentCache> {
  if (cache === null) return { cacheFor: () => null, close: () => undefined };
  const { store, close } = await openStore(cache, valkeyUrl);
  const cacheOf = createEnvironmentCache({
    store,
    clock: systemClock,
    sha256: sha256Hex,
    onError: (operation, cause) => log({ type: "cache_failed", operation, cause }),
  });
  return {
    cacheFor(settings) {
      const statusFor = settings.cache?.statusFor;
      return cacheOf({
        upstream: nameOf(settings.upstream),
        showsStatus: ({ scopes }) => statusFor === "everybody" || (statusFor === "details" && scopes.has("details")),
      });
    },
    close,
  };
}

function nameOf(upstream: UpstreamSettings): string {
  return upstream.kind === "http" ? `${upstream.baseUrl.origin}${upstream.baseUrl.basePath}` : "embedded";
}

async function openStore(
  { store, maxBytes, maxEntries }: CacheSettings,
  valkeyUrl: string | null,
): Promise<{ readonly store: CacheStore; close(): void }> {
  if (store === "memory" || valkeyUrl === null) {
    return { store: createMemoryCacheStore({ maxBytes, maxEntries, clock: systemClock }), close: () => undefined };
  }
  const { connectValkey } = await import("@letta-environments/platform/valkey");
  const connection = connectValkey(valkeyUrl, { timeoutMs: valkeyTimeoutMs, onFailure: () => undefined });
  return {
    store: createValkeyCacheStore(connection, systemClock, sha256Hex),
    close: () => void connection.close(),
  };
}
