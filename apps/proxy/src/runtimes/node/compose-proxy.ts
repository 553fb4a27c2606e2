import { randomBytes } from "node:crypto";
import { constantTimeEqual, hmacSha256Hex, randomId, sha256Hex, systemClock } from "@letta-environments/platform/node";
import { createHostGuard } from "../../admin/admission.ts";
import { createProxy, type Proxy } from "../../app.ts";
import type { AuditLog } from "../../audit/log.ts";
import type { Settings } from "../../config/settings.ts";
import type { KeyStoreFor } from "../../ports.ts";
import { version } from "../../version.ts";
import { composeUpstream } from "./compose-upstream.ts";
import type { Foundations } from "./open-foundations.ts";

/** What the pipeline stands on. `null` as `audit` or `keyStoreFor`: nothing is written down, and keys are not administered over HTTP. */
export interface ProxyFoundations extends Pick<
  Foundations,
  "deviceSockets" | "embedded" | "environmentCache" | "keyStore" | "log" | "rateLimits" | "tokenWayFor"
> {
  readonly audit: AuditLog | null;
  readonly keys: Pick<Foundations["keys"], "pepper">;
  readonly keyStoreFor: KeyStoreFor | null;
  readonly keyUses: Pick<Foundations["keyUses"], "note">;
}

/**
 * Makes the pipeline of the settings over what the start has opened. It opens nothing, so one that is replaced needs no end: what it
 * has begun it finishes.
 *
 * @throws CommandError when a file that the settings name cannot be used.
 */
export async function composeProxy(settings: Settings, foundations: ProxyFoundations): Promise<Proxy> {
  const { audit, deviceSockets, embedded, environmentCache, keys, keyStore, keyStoreFor, keyUses, log, rateLimits } =
    foundations;
  const upstream = await composeUpstream(settings, keyStore, log, embedded);
  const userAgent = `letta-environments-proxy/${version}`;
  return createProxy(
    {
      clock: systemClock,
      digests: { sha256: sha256Hex, hmacSha256: hmacSha256Hex, constantTimeEqual },
      keyStore,
      noteKeyUse: keyUses.note,
      pepper: keys.pepper,
      randomId,
      telemetry: log,
      upstream: upstream.fetch,
      audit,
      environmentCache: environmentCache.cacheFor(settings),
      rateLimiter: rateLimits.limiterFor(settings),
      ...(upstream.findDeviceId !== undefined && { findDeviceId: upstream.findDeviceId }),
      deviceSockets,
      tokenWayFor: foundations.tokenWayFor,
      admin:
        keyStoreFor === null
          ? undefined
          : { randomBytes, keyStoreFor, findCredentialConflicts: upstream.findCredentialConflicts },
    },
    {
      upstream: upstream.config,
      upstreamTimeoutMs: settings.upstreamTimeoutMs,
      userAgent,
      jwt: settings.jwt,
      passThrough: settings.passThrough,
      tenants: settings.tenants,
      corsOrigins: settings.corsOrigins,
      auditContent: settings.auditContent,
      rateLimits: settings.rateLimits,
      adminListener:
        settings.admin === null
          ? null
          : { token: settings.admin.token, guard: createHostGuard(settings.admin.hostnames) },
    },
  );
}
