import { randomBytes } from "node:crypto";
import { constantTimeEqual, hmacSha256Hex, randomId, sha256Hex, systemClock } from "@letta-environments/platform/node";
import { createHttpJwksFetch } from "../../adapters/http-jwks-fetch.ts";
import { createProxy, type Proxy } from "../../app.ts";
import type { Settings } from "../../config/settings.ts";
import { version } from "../../version.ts";
import { composeUpstream } from "./compose-upstream.ts";
import type { Foundations } from "./open-foundations.ts";

/**
 * Makes the pipeline of the settings over what the start has opened. It opens nothing, so one that is replaced needs no end: what it
 * has begun it finishes.
 *
 * @throws CommandError when a file that the settings name cannot be used.
 */
export async function composeProxy(settings: Settings, foundations: Foundations): Promise<Proxy> {
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
      environmentCache,
      rateLimiter: rateLimits.limiterFor(settings),
      ...(upstream.findDeviceId !== undefined && { findDeviceId: upstream.findDeviceId }),
      deviceSockets,
      fetchJwks: createHttpJwksFetch(globalThis.fetch, userAgent),
      admin: { randomBytes, keyStoreFor, findNewSharing: upstream.findNewSharing },
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
      adminListener: settings.admin,
    },
  );
}
