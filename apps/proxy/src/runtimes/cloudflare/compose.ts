/** Composes the gateway of a Worker from its settings, its bindings and the adapters for Workers. The pipeline is the one of every runtime. */
import {
  constantTimeEqual,
  hmacSha256Hex,
  randomBytes,
  random,
  randomId,
  sha256Hex,
  systemClock,
} from "@letta-environments/platform/cloudflare";
import { waitUntil } from "cloudflare:workers";
import { createCacheApiStore } from "../../adapters/cloudflare/cache-store.ts";
import { createDurableCoalescer } from "../../adapters/cloudflare/coalescer.ts";
import { createDurableKeyStore, createDurableKeyUses } from "../../adapters/cloudflare/key-store.ts";
import { createDurableRateLimitStore } from "../../adapters/cloudflare/rate-limit-store.ts";
import { createDurableAuditLog, createTenantCalls, type TenantCalls } from "../../adapters/cloudflare/tenant-calls.ts";
import { createHttpJwksFetch, createHttpUpstreamFetch } from "../../adapters/fetch-client.ts";
import type { LogEvent } from "../../adapters/log-event.ts";
import { logKeyStore, logStoreEvents } from "../../adapters/log.ts";
import { createMemoryRateLimitStore } from "../../adapters/memory/rate-limit-store.ts";
import { createPepperCheck, pepperOf } from "../../keys/pepper.ts";
import { createPipeline, type Pipeline } from "../../pipeline.ts";
import { auditKeyStore } from "../../audit/key-changes.ts";
import { boundRefusals } from "../../audit/refusals.ts";
import { createEnvironmentCache, type EnvironmentCache, wholeGroupOf } from "../../cache/environment-cache.ts";
import { cacheScopeOf } from "../../cache/policy.ts";
import type { Settings } from "../../config/settings.ts";
import type { ConsoleSessionPorts } from "../../console/session-request.ts";
import type { ConsoleSessions } from "../../console/sessions.ts";
import { createExpiryCheck } from "../../keys/credential-expiry.ts";
import { reportOutages } from "../../keys/key-store-outages.ts";
import { chooseShards, type RateLimitSettings } from "../../limits/settings.ts";
import type { ReadReadiness } from "../../host/readiness.ts";
import type { GatewayPorts, JwksFetch, KeyStoreFor } from "../../ports.ts";
import { createRateLimiter, type RateLimiter } from "../../rate-limit/limiter.ts";
import { createTenantAdmission, credentialsFromSettings, findCredentialConflicts } from "../../tenants/credentials.ts";
import { userAgent } from "../../version.ts";
import type { WorkerBindings, WorkerSettings } from "./settings.ts";

/** How many calls of one isolate to the upstream may run at once. The platform has its own limits for each request. */
const maxConcurrentCalls = 1_000;

/** Composes the sessions of the web console over the stores of a Worker. */
export type ComposeSessions = (ports: Omit<ConsoleSessionPorts, "randomBytes">) => ConsoleSessions;

/** Composes the gateway of one isolate. It keeps no object of a request, because Workers must not use one in another request. */
export function composeWorker(
  settings: WorkerSettings,
  bindings: WorkerBindings,
  /** The name of the data centre of the isolate. */
  place: string,
  log: (event: LogEvent) => void,
  composeSessions?: ComposeSessions,
): { readonly pipeline: Pipeline; readonly readReadiness: ReadReadiness } {
  const { upstream, tenants, jwt } = settings;
  if (upstream.kind !== "http") throw new TypeError("Workers need a remote upstream");
  const clock = systemClock;
  const onFailure = (cause: unknown): void => log({ type: "audit_failed", requestId: "-", cause });
  const keys = composeKeys(bindings.KEYS, log);
  const { keyStore } = keys;
  const audit = createDurableAuditLog(() => bindings.AUDIT.getByName("audit"), clock);
  const credentialOf = credentialsFromSettings(tenants, upstream.credential);
  const tenantCalls = createTenantCalls({
    objectOf: (name) => bindings.TENANTS.getByName(name),
    clock,
    background: waitUntil,
  });
  const rateLimits = composeRateLimits(settings.rateLimits, tenantCalls, bindings.LIMITS, log);
  // The runtime's `fetch` must not be called as a method of another object.
  const webFetch: typeof fetch = (input, init) => fetch(input, init);

  const digests = { sha256: sha256Hex, hmacSha256: hmacSha256Hex, constantTimeEqual };
  const pepper = pepperOf(settings.keyPepper, hmacSha256Hex);
  const keyStoreFor: KeyStoreFor = (actor) => auditKeyStore(keyStore, audit, actor, onFailure);

  const pipeline = createPipeline(
    {
      background: waitUntil,
      clock,
      digests,
      hasExpired: createExpiryCheck(clock),
      ...keys,
      pepper,
      random,
      randomId,
      telemetry: log,
      upstream: {
        kind: "remote",
        fetch: createHttpUpstreamFetch({ ...upstream, fetch: webFetch }),
        credentialOf,
        idempotencyStore: tenantCalls.sends,
        isolatesRequests: true,
        maxConcurrent: maxConcurrentCalls,
        admitsTenant: createTenantAdmission({ clock, keyStore, tenants, jwt, credentialOf }),
      },
      audit: boundRefusals(tenantCalls.auditLog(audit), { clock, onFailure }),
      environmentCache: composeCache(settings, bindings.FLIGHTS, place, log),
      rateLimiter: rateLimits.limiter,
      deviceSockets: null,
      consoleSessions: composeSessions?.({ clock, digests, keyStore, keyStoreFor, pepper, telemetry: log }) ?? null,
      fetchJwks: keepAlive(createHttpJwksFetch(webFetch, userAgent)),
      admin: {
        randomBytes,
        keyStoreFor,
        findCredentialConflicts: (record) =>
          findCredentialConflicts({ tenants, jwt, credentialOf }, keyStore, record, clock.now()),
      },
    },
    { ...settings, userAgent, rateLimits: rateLimits.settings },
  );
  return { pipeline, readReadiness: composeReadiness(createPepperCheck(keyStore, pepper, systemClock), log) };
}

/** Composes the check of `/readyz`. Its result is not shared, because a request cannot await the call of another one. */
function composeReadiness(checkPepper: () => Promise<void>, log: (event: LogEvent) => void): ReadReadiness {
  const name = "keys";
  return async () => {
    try {
      await checkPepper();
      return [{ name, isReady: true }];
    } catch (cause) {
      log({ type: "readiness_failed", check: name, cause });
      return [{ name, isReady: false }];
    }
  };
}

/** Composes the key store, which also logs its outages, and the function that records uses of keys there. */
function composeKeys(
  objects: WorkerBindings["KEYS"],
  log: (event: LogEvent) => void,
): Pick<GatewayPorts, "keyStore" | "noteKeyUse"> {
  const ports = { clock: systemClock, background: waitUntil, ...logKeyStore(log) };
  const keyStore = reportOutages(
    createDurableKeyStore({ ...ports, keys: () => objects.getByName("keys") }),
    log,
    systemClock,
  );
  return { keyStore, noteKeyUse: createDurableKeyUses({ ...ports, keyStore }) };
}

/** Keeps a request for a key set alive after the client request that started it, because other requests wait for it too. */
function keepAlive(fetchJwks: JwksFetch): JwksFetch {
  return (url, signal) => {
    const read = fetchJwks(url, signal);
    waitUntil(read.catch(() => undefined));
    return read;
  };
}

/** A separate cache, so that the gateway shares no entries with the default cache of the platform. */
const cacheName = "letta-gateway";

/** Composes the cache of this data centre; `null` if nothing is cached. Durable Objects of this data centre coordinate concurrent misses. */
function composeCache(
  settings: Pick<Settings, "cache" | "upstream">,
  coordinators: WorkerBindings["FLIGHTS"],
  place: string,
  log: (event: LogEvent) => void,
): EnvironmentCache | null {
  if (settings.cache === null) return null;
  return createEnvironmentCache({
    store: createCacheApiStore({
      openCache: () => caches.open(cacheName),
      clock: systemClock,
      sha256: sha256Hex,
      newStamp: () => randomId("stamp"),
      wholeOf: wholeGroupOf,
    }),
    clock: systemClock,
    sha256: sha256Hex,
    onError: (operation, cause) => log({ type: "cache_failed", operation, cause }),
    coalescer: createDurableCoalescer({
      // The first digit of a digest spreads the keys over sixteen objects for each data centre.
      coordinatorOf: (key) => coordinators.getByName(`${place} ${sha256Hex(key).charAt(0)}`),
      clock: systemClock,
      randomId,
      background: waitUntil,
    }),
    background: waitUntil,
  })(cacheScopeOf(settings));
}

/** Composes the rate limiter, which counts in Durable Objects. While they are unavailable, each policy falls back as configured. */
function composeRateLimits(
  settings: RateLimitSettings,
  tenantCalls: Pick<TenantCalls, "limitsOf">,
  objects: WorkerBindings["LIMITS"],
  log: (event: LogEvent) => void,
): { readonly settings: RateLimitSettings; readonly limiter: RateLimiter | null } {
  if (settings.limits.length === 0) return { settings, limiter: null };
  const limits = chooseShards(settings.limits);
  const ofTenants = new Set(limits.filter(({ rule }) => rule.shardBy === "tenant").map(({ rule }) => rule.policy.name));
  const limiter = createRateLimiter({
    store: createDurableRateLimitStore({
      objectOf: ({ policy, shard }) =>
        // Two shards with the same name would do no harm: an object counts by policy and key.
        ofTenants.has(policy.name) ? tenantCalls.limitsOf(shard ?? "") : objects.getByName(`shard ${shard ?? ""}`),
      clock: systemClock,
      background: waitUntil,
    }),
    localStore: createMemoryRateLimitStore(systemClock),
    clock: systemClock,
    deadlineMs: settings.deadlineMs,
    instances: settings.instances,
    onDegraded: logStoreEvents(log),
  });
  return { settings: { ...settings, limits }, limiter };
}
