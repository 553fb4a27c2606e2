import { randomBytes } from "node:crypto";
import { constantTimeEqual, hmacSha256Hex, randomId, sha256Hex, systemClock } from "@letta-environments/platform/node";
import { createHttpUpstreamFetch } from "../../adapters/http-upstream.ts";
import { failedBeforeSend } from "../../adapters/http-upstream.ts";
import type { LogEvent } from "../../adapters/log.ts";
import { createHostGuard } from "../../admin/admission.ts";
import { createPipeline, type Pipeline } from "../../pipeline.ts";
import type { AuditLog } from "../../audit/log.ts";
import type { Settings } from "../../config/settings.ts";
import type { KeyStore, KeyStoreFor } from "../../ports.ts";
import type { AdminServices } from "../../services.ts";
import { createTenantAdmission } from "../../tenants/admission.ts";
import { findCredentialConflicts } from "../../tenants/credentials.ts";
import type { UpstreamServer } from "../../upstream/settings.ts";
import { version } from "../../version.ts";
import { openCredentials } from "./open-credentials.ts";
import type { EmbeddedServer } from "./open-embedded-server.ts";
import type { Resources } from "./resources.ts";

/** What the pipeline stands on. `null` as `audit` or `keyStoreFor`: nothing is written down, and keys are not administered over HTTP. */
export interface GatewayResources extends Pick<
  Resources,
  "deviceSockets" | "embedded" | "environmentCache" | "keyStore" | "log" | "rateLimits" | "tokenAuthenticatorFor"
> {
  readonly audit: AuditLog | null;
  readonly keys: Pick<Resources["keys"], "pepper">;
  readonly keyStoreFor: KeyStoreFor | null;
  readonly keyUses: Pick<Resources["keyUses"], "note">;
}

/**
 * Makes the pipeline of the settings over what the start has opened. It opens nothing, so one that is replaced needs no end: what it
 * has begun it finishes.
 *
 * @throws CommandError when a file that the settings name cannot be used.
 */
export async function composePipeline(settings: Settings, resources: GatewayResources): Promise<Pipeline> {
  const { audit, deviceSockets, embedded, environmentCache, keys, keyStore, keyStoreFor, keyUses, log, rateLimits } =
    resources;
  const upstream = await composeUpstream(settings, keyStore, log, embedded);
  const userAgent = `letta-environments-proxy/${version}`;
  return createPipeline(
    {
      clock: systemClock,
      digests: { sha256: sha256Hex, hmacSha256: hmacSha256Hex, constantTimeEqual },
      keyStore,
      noteKeyUse: keyUses.note,
      pepper: keys.pepper,
      randomId,
      telemetry: log,
      upstream: upstream.server,
      audit,
      environmentCache: environmentCache.cacheFor(settings),
      rateLimiter: rateLimits.limiterFor(settings),
      deviceSockets,
      tokenAuthenticatorFor: resources.tokenAuthenticatorFor,
      admin:
        keyStoreFor === null
          ? undefined
          : { randomBytes, keyStoreFor, findCredentialConflicts: upstream.findCredentialConflicts },
    },
    {
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

/** What stands behind the proxy, ready to be called. It has nothing to close. */
export interface ComposedUpstream {
  readonly server: UpstreamServer;
  readonly findCredentialConflicts?: AdminServices["findCredentialConflicts"];
}

/**
 * Prepares the calls to the embedded environment server, or to a server elsewhere.
 *
 * @throws CommandError when a credential cannot be read, or tenants share one without being held to devices.
 */
export async function composeUpstream(
  settings: Settings,
  keyStore: KeyStore,
  log: (event: LogEvent) => void,
  embedded: EmbeddedServer | null,
): Promise<ComposedUpstream> {
  const { upstream, tenants, jwt } = settings;
  if (embedded !== null) return { server: { kind: "embedded", server: embedded.server } };
  if (upstream.kind !== "http") throw new TypeError("an upstream elsewhere needs its settings");
  const credentialOf = openCredentials(settings, await keyStore.list(), (tenant, cause) =>
    log({ type: "credential_file_failed", tenant, cause }),
  );
  const admitsTenant = createTenantAdmission({ clock: systemClock, keyStore, tenants, jwt, credentialOf });
  return {
    server: {
      kind: "remote",
      fetch: createHttpUpstreamFetch({ ...upstream, fetch: globalThis.fetch, failedBeforeSend }),
      credentialOf,
      admitsTenant,
    },
    findCredentialConflicts: async (record) =>
      findCredentialConflicts({ tenants, jwt, credentialOf }, await keyStore.list(), record, systemClock.now()),
  };
}
