import { waitUntil } from "cloudflare:workers";
import {
  constantTimeEqual,
  hmacSha256Hex,
  randomBytes,
  randomId,
  sha256Hex,
  systemClock,
} from "@letta-environments/platform/cloudflare";
import { createDurableAuditLog } from "../../adapters/cloudflare/audit-log.ts";
import { createDurableKeyStore, createDurableKeyUses } from "../../adapters/cloudflare/key-store.ts";
import type { LogEvent } from "../../adapters/console-telemetry.ts";
import { createHttpJwksFetch } from "../../adapters/http-jwks-fetch.ts";
import { createHttpUpstreamFetch } from "../../adapters/http-upstream-fetch.ts";
import { pepperOf } from "../../adapters/pepper-of.ts";
import { createProxy, type Proxy } from "../../app.ts";
import { auditKeyStore } from "../../audit/key-changes.ts";
import { reportOutages, rootCauseMessage } from "../../keys/key-store-outages.ts";
import type { JwksFetch } from "../../ports.ts";
import { createTenantAdmission } from "../../tenants/create-tenant-admission.ts";
import { credentialsFromSettings } from "../../tenants/credentials-from-settings.ts";
import { findCredentialConflicts } from "../../tenants/find-new-sharing.ts";
import { version } from "../../version.ts";
import { composeCache } from "./compose-cache.ts";
import { composeRateLimits } from "./compose-rate-limits.ts";
import type { WorkerSettings } from "./resolve-worker-settings.ts";
import type { WorkerBindings } from "./worker-bindings.ts";

/** Composes the gateway of one isolate. Nothing of what belongs to one request is kept in it. */
export function composeWorker(
  settings: WorkerSettings,
  bindings: WorkerBindings,
  /** Name of the data centre, which the isolate never leaves. */
  place: string,
  log: (event: LogEvent) => void,
): Proxy {
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
  const credentialOf = credentialsFromSettings(settings);
  const rateLimits = composeRateLimits(settings.rateLimits, bindings.LIMITS, log);
  const userAgent = `letta-environments-proxy/${version}`;
  // The runtime's own must not be called as a method of something else.
  const webFetch: typeof fetch = (input, init) => fetch(input, init);

  return createProxy(
    {
      clock,
      digests: { sha256: sha256Hex, hmacSha256: hmacSha256Hex, constantTimeEqual },
      keyStore,
      noteKeyUse: createDurableKeyUses({ clock, keyStore, background: waitUntil, onFailure: onKeyStoreFailure }),
      pepper: pepperOf(settings.keyPepper, hmacSha256Hex),
      randomId,
      telemetry: log,
      // Failures have no codes here that would tell.
      upstream: createHttpUpstreamFetch({ ...upstream, fetch: webFetch, isSurelyUnsent: () => false }),
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
      upstream: {
        kind: "http",
        credentialOf,
        admitsTenant: createTenantAdmission({ clock, keyStore, tenants, jwt, credentialOf }),
      },
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
