import { type CacheStore, createMemoryCacheStore } from "@letta-environments/http-cache";
import { sha256Hex, systemClock } from "@letta-environments/platform/node";
import type { LogEvent } from "../../adapters/console-telemetry.ts";
import { createValkeyCacheStore } from "../../adapters/valkey-cache-store.ts";
import { createEnvironmentCache, type EnvironmentCache } from "../../cache/environment-cache.ts";
import type { CacheSettings, Settings } from "../../config/settings.ts";

/** How long a read waits for Valkey, in milliseconds, before it is a miss. */
const valkeyTimeoutMs = 100;

/** The cache of answers, and the end of what it is kept in. */
export interface OpenEnvironmentCache {
  /** `null` where nothing is kept. */
  readonly cache: EnvironmentCache | null;
  close(): void;
}

/** Opens the cache of answers that the settings ask for. Valkey may be away: then everything is a miss. */
export async function openEnvironmentCache(
  settings: Pick<Settings, "cache" | "upstream" | "valkeyUrl">,
  log: (event: LogEvent) => void,
): Promise<OpenEnvironmentCache> {
  const { cache, upstream } = settings;
  if (cache === null) return { cache: null, close: () => undefined };
  const { statusFor } = cache;
  const { store, close } = await openStore(cache, settings.valkeyUrl);
  const environmentCache = createEnvironmentCache({
    store,
    clock: systemClock,
    sha256: sha256Hex,
    upstream: upstream.kind === "http" ? `${upstream.baseUrl.origin}${upstream.baseUrl.basePath}` : "embedded",
    showsStatus: ({ scopes }) => statusFor === "everybody" || (statusFor === "details" && scopes.has("details")),
    onTrouble: (operation, cause) => log({ type: "cache_failed", operation, cause }),
  });
  return { cache: environmentCache, close };
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
