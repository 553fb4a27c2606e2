import {
  constantTimeEqual,
  hmacSha256Hex,
  randomBytes,
  randomId,
  sha256Hex,
  systemClock,
} from "@letta-environments/platform/cloudflare";
import { waitUntil } from "cloudflare:workers";
import { createCacheApiStore } from "../../adapters/cloudflare/cache-store.ts";
import { createDurableAuditLog } from "../../adapters/cloudflare/audit-log.ts";
import { createDurableCoalescer } from "../../adapters/cloudflare/coalescer.ts";
import { createDurableKeyStore } from "../../adapters/cloudflare/key-store.ts";
import { createDurableKeyUses } from "../../adapters/cloudflare/key-store.ts";
import { createDurableRateLimitStore } from "../../adapters/cloudflare/rate-limit-store.ts";
import { createHttpJwksFetch } from "../../adapters/http-jwks.ts";
import { createHttpUpstreamFetch } from "../../adapters/http-upstream.ts";
import type { LogEvent } from "../../adapters/log.ts";
import { createMemoryRateLimitStore } from "../../adapters/memory/rate-limit-store.ts";
import { pepperOf } from "../../adapters/node/pepper.ts";
import { createPipeline, type Pipeline } from "../../pipeline.ts";
import { auditKeyStore } from "../../audit/key-changes.ts";
import { createEnvironmentCache, type EnvironmentCache } from "../../cache/environment-cache.ts";
import type { Settings } from "../../config/settings.ts";
import { rootCauseMessage } from "../../keys/key-store-outages.ts";
import { reportOutages } from "../../keys/key-store-outages.ts";
import type { RateLimitSettings } from "../../limits/settings.ts";
import { chooseShards } from "../../limits/settings.ts";
import type { JwksFetch } from "../../ports.ts";
import { createRateLimiter, type RateLimiter } from "../../rate-limit/limiter.ts";
import { createTenantAdmission } from "../../tenants/admission.ts";
import { credentialsFromSettings, findCredentialConflicts } from "../../tenants/credentials.ts";
import { version } from "../../version.ts";
import type { WorkerBindings, WorkerSettings } from "./settings.ts";

/** Composes the gateway of one isolate. Nothing of what belongs to one request is kept in it. */
export function composeWorker(
  settings: WorkerSettings,
  bindings: WorkerBindings,
  /** Name of the data centre, which the isolate never leaves. */
  place: string,
  log: (event: LogEvent) => void,
): Pipeline {
  const { upstream, tenants, jwt } = settings;
  if (upstream.kind !== "http") throw new TypeError("Workers need an upstream elsewhere");
  const clock = systemClock;
  const onFailure = (cause: unknown): void => log({ type: "internal_error", requestId: "-", cause });
  const onKeyStoreFailure = (cause: unknown): void =>
    log({ type: "key_store_failed", requestId: "-", reason: rootCauseMessage(cause) });
  const keys = createDurableKeyStore({
    keys: () => bindings.KEYS.getByName("keys"),
    clock,
    background: waitUntil,
    onDamaged: (keyId) => log({ type: "key_record_damaged", keyId }),
  });
  const keyStore = reportOutages(keys, log);
  const audit = createDurableAuditLog(() => bindings.AUDIT.getByName("audit"));
  const credentialOf = credentialsFromSettings(tenants, upstream.credential);
  const rateLimits = composeRateLimits(settings.rateLimits, bindings.LIMITS, log);
  const userAgent = `letta-environments-proxy/${version}`;
  // The runtime's own must not be called as a method of something else.
  const webFetch: typeof fetch = (input, init) => fetch(input, init);

  return createPipeline(
    {
      clock,
      digests: { sha256: sha256Hex, hmacSha256: hmacSha256Hex, constantTimeEqual },
      keyStore,
      noteKeyUse: createDurableKeyUses({ clock, keyStore, background: waitUntil, onFailure: onKeyStoreFailure }),
      pepper: pepperOf(settings.keyPepper, hmacSha256Hex),
      randomId,
      telemetry: log,
      upstream: {
        kind: "remote",
        // The errors of this runtime have no codes, so every failure may have happened after the request was sent.
        fetch: createHttpUpstreamFetch({ ...upstream, fetch: webFetch, failedBeforeSend: () => false }),
        credentialOf,
        admitsTenant: createTenantAdmission({ clock, keyStore, tenants, jwt, credentialOf }),
      },
      audit,
      environmentCache: composeCache(settings, bindings.FLIGHTS, place, log),
      rateLimiter: rateLimits.limiter,
      deviceSockets: null,
      fetchJwks: keptAlive(createHttpJwksFetch(webFetch, userAgent)),
      admin: {
        randomBytes,
        keyStoreFor: (actor) => auditKeyStore(keyStore, audit, actor, onFailure),
        findCredentialConflicts: async (record) =>
          findCredentialConflicts({ tenants, jwt, credentialOf }, await keyStore.list(), record, clock.now()),
      },
    },
    {
      upstreamTimeoutMs: settings.upstreamTimeoutMs,
      userAgent,
      jwt,
      passThrough: settings.passThrough,
      tenants,
      corsOrigins: settings.corsOrigins,
      auditContent: settings.auditContent,
      rateLimits: rateLimits.settings,
      operatorToken: settings.operatorToken,
    },
  );
}

/** Other requests wait for the same read: it must not end with the one that began it. */
function keptAlive(fetchJwks: JwksFetch): JwksFetch {
  return (url, signal) => {
    const read = fetchJwks(url, signal);
    waitUntil(read.catch(() => undefined));
    return read;
  };
}

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

/** The limits of one isolate: counted in Durable Objects, and without them by each policy's own way. */
export function composeRateLimits(
  settings: RateLimitSettings,
  limits: WorkerBindings["LIMITS"],
  log: (event: LogEvent) => void,
): { readonly settings: RateLimitSettings; readonly limiter: RateLimiter | null } {
  if (settings.limits.length === 0) return { settings, limiter: null };
  const limiter = createRateLimiter({
    store: createDurableRateLimitStore(limits, waitUntil),
    localStore: createMemoryRateLimitStore(systemClock),
    clock: systemClock,
    deadlineMs: settings.deadlineMs,
    instances: settings.instances,
    onDegraded(event) {
      if (event.state === "degraded") log({ type: "rate_limits_degraded", reason: event.reason, cause: event.cause });
      else log({ type: "rate_limits_recovered", durationMs: event.durationMs, decisions: event.decisions });
    },
  });
  return { settings: { ...settings, limits: chooseShards(settings.limits) }, limiter };
}
