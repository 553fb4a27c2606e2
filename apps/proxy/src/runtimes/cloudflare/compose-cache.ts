import { waitUntil } from "cloudflare:workers";
import { randomId, sha256Hex, systemClock } from "@letta-environments/platform/cloudflare";
import { createCacheApiStore } from "../../adapters/cloudflare/cache-api-store.ts";
import { createDurableCoalescer } from "../../adapters/cloudflare/durable-coalescer.ts";
import type { LogEvent } from "../../adapters/console-telemetry.ts";
import { createEnvironmentCache, type EnvironmentCache } from "../../cache/environment-cache.ts";
import type { Settings } from "../../config/settings.ts";
import type { WorkerBindings } from "./worker-bindings.ts";

/** A cache of its own: what the platform's own cache holds is not in it, and the other way round. */
const cacheName = "letta-gateway";

/** The cache of answers in this data centre, or `null` where nothing is kept. Turns are handed out by objects of this data centre. */
export function composeCache(
  { cache, upstream }: Pick<Settings, "cache" | "upstream">,
  flights: WorkerBindings["FLIGHTS"],
  place: string,
  log: (event: LogEvent) => void,
): EnvironmentCache | null {
  if (cache === null || upstream.kind !== "http") return null;
  const { statusFor } = cache;
  return createEnvironmentCache({
    store: createCacheApiStore({
      openCache: () => caches.open(cacheName),
      clock: systemClock,
      sha256: sha256Hex,
      newStamp: () => randomId("stamp"),
    }),
    clock: systemClock,
    sha256: sha256Hex,
    onError: (operation, cause) => log({ type: "cache_failed", operation, cause }),
    coalescer: createDurableCoalescer({
      // The first digit of a digest: sixteen objects in a data centre share the keys.
      coordinatorOf: (key) => flights.getByName(`${place} ${sha256Hex(key).charAt(0)}`),
      randomId,
      background: waitUntil,
    }),
    background: waitUntil,
  })({
    upstream: `${upstream.baseUrl.origin}${upstream.baseUrl.basePath}`,
    showsStatus: ({ scopes }) => statusFor === "everybody" || (statusFor === "details" && scopes.has("details")),
  });
}
