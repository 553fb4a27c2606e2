import { createMemoryCacheStore } from "@letta-environments/http-cache";
import { sha256Hex, systemClock } from "@letta-environments/platform/node";
import type { LogEvent } from "../../adapters/console-telemetry.ts";
import { createEnvironmentCache, type EnvironmentCache } from "../../cache/environment-cache.ts";
import type { Settings } from "../../config/settings.ts";

/** The cache of answers that the settings ask for, in memory; `null` for none. */
export function openEnvironmentCache(
  { cache, upstream }: Pick<Settings, "cache" | "upstream">,
  log: (event: LogEvent) => void,
): EnvironmentCache | null {
  if (cache === null) return null;
  const { maxBytes, maxEntries, statusFor } = cache;
  return createEnvironmentCache({
    store: createMemoryCacheStore({ maxBytes, maxEntries, clock: systemClock }),
    clock: systemClock,
    sha256: sha256Hex,
    upstream: upstream.kind === "http" ? `${upstream.baseUrl.origin}${upstream.baseUrl.basePath}` : "embedded",
    showsStatus: ({ scopes }) => statusFor === "everybody" || (statusFor === "details" && scopes.has("details")),
    onTrouble: (operation, cause) => log({ type: "cache_failed", operation, cause }),
  });
}
