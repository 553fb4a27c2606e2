/** Composes the pipeline of the gateway on Node, Bun and Deno. */
import { randomBytes } from "node:crypto";
import { refuseInput } from "@letta-environments/environment-server";
import { random, randomId, systemClock } from "@letta-environments/platform/node";
import { createHttpJwksFetch } from "../../adapters/fetch-client.ts";
import type { LogEvent } from "../../adapters/log-event.ts";
import { createHostGuard } from "../../admin/admission.ts";
import { createAuditSearch } from "../../admin/audit-search.ts";
import { createDeviceOperations } from "../../admin/devices.ts";
import type { AuditLog } from "../../audit/log.ts";
import type { AuditTail } from "../../audit/search.ts";
import type { JwtSettings } from "../../auth/jwt-settings.ts";
import { createShadow, liftRestrictions } from "../../auth/shadow.ts";
import { createTokenAuthenticator, reuseTokenAuthenticator, type TokenAuthenticator } from "../../auth/jwt.ts";
import { type ConsoleSessions, createConsoleSessions } from "../../console/sessions.ts";
import type { Settings } from "../../config/settings.ts";
import { createExplainEndpoint } from "../../explain/endpoint.ts";
import type { Extensions } from "../../extension-port.ts";
import type { BackgroundWork } from "../../lib/background.ts";
import type { CurrentCheck } from "../../reauthentication.ts";
import type { BodyBudget } from "../../http/body-memory.ts";
import { composeWraps } from "../../lib/steps.ts";
import { createPipeline, type Pipeline } from "../../pipeline.ts";
import type { KeyUses } from "../../keys/key-uses.ts";
import type { DeviceSockets, HasExpired } from "../../ports.ts";
import type { WrapApiStep } from "../../request-exchange.ts";
import { deviceVersion, userAgent, version } from "../../version.ts";
import { digests, type OpenKeys } from "./keys.ts";
import type { PipelineMetrics } from "./metrics.ts";
import type { OpenEnvironmentCache, OpenRateLimits } from "./shared-stores.ts";
import { composeUpstream, type UpstreamResources } from "./upstream.ts";

/** The open resources that a pipeline uses. */
export interface GatewayResources extends UpstreamResources {
  readonly keys: Pick<OpenKeys, "pepper">;
  readonly keyUses: Pick<KeyUses, "note">;
  readonly hasExpired: HasExpired;
  /** `null` if nothing is recorded. */
  readonly audit: AuditLog | null;
  /** The stored records, for a search; `null` if they cannot be read here. */
  readonly auditTail: AuditTail | null;
  readonly rateLimits: Pick<OpenRateLimits, "limiterFor">;
  readonly environmentCache: Pick<OpenEnvironmentCache, "cacheFor">;
  /** Absent where no reload replaces the configuration. */
  readonly currentCheck?: CurrentCheck;
  /** Counts bodies. */
  readonly bodyMemory: BodyBudget;
  readonly background: BackgroundWork["start"];
  readonly tokenAuthenticatorFor: (settings: JwtSettings) => TokenAuthenticator;
  /** Device sockets of the embedded server, which close when their key ends; `null` if the upstream is remote. */
  readonly deviceSockets: DeviceSockets | null;
  /** `null`: the gateway serves none. */
  readonly extensions: Extensions | null;
  /** `null` if nothing is counted. */
  readonly metrics: PipelineMetrics | null;
}

/**
 * Composes the pipeline of the settings over open resources. It opens nothing, so a replaced pipeline need not be closed: it
 * finishes the requests that it has begun.
 *
 * @throws CommandError if a file that the settings name cannot be used
 */
export async function composePipeline(settings: Settings, resources: GatewayResources): Promise<Pipeline> {
  const { keyStore, keyStoreFor, devicesFor, log, metrics } = resources;
  const { admin, shadow } = settings;
  const { server, findCredentialConflicts } = await composeUpstream(settings, resources);
  const limiter = resources.rateLimits.limiterFor(settings);
  return createPipeline(
    {
      background: resources.background,
      clock: systemClock,
      digests,
      hasExpired: resources.hasExpired,
      keyStore,
      noteKeyUse: resources.keyUses.note,
      pepper: resources.keys.pepper,
      random,
      randomId,
      telemetry: log,
      upstream: server,
      audit: resources.audit,
      environmentCache: resources.environmentCache.cacheFor(settings),
      rateLimiter: limiter && (metrics?.observeLimiter(limiter) ?? limiter),
      currentCheck: resources.currentCheck,
      bodyMemory: resources.bodyMemory,
      deviceSockets: resources.deviceSockets,
      apiExtensions: resources.extensions,
      consoleSessions: composeSessions(settings, resources),
      tokenAuthenticatorFor: resources.tokenAuthenticatorFor,
      wrapStep: wrapSteps(settings, resources),
      liftRestrictions: shadow === null ? undefined : (principal) => liftRestrictions(principal, shadow),
      admin:
        keyStoreFor === null
          ? undefined
          : {
              randomBytes,
              keyStoreFor,
              devices: devicesFor && createDeviceOperations(devicesFor, systemClock),
              findCredentialConflicts,
            },
    },
    {
      ...settings,
      userAgent,
      adminListener: admin && { token: admin.token, guard: createHostGuard([admin.host, ...admin.hostnames]) },
    },
    (parts) => [
      ...(metrics?.adminEndpoints ?? []),
      ...(resources.auditTail === null ? [] : [createAuditSearch(resources.auditTail, systemClock)]),
      createExplainEndpoint(parts, refuseInput),
    ],
  );
}

/** The observers around each step. Shadow mode lifts restrictions before a request is measured. */
function wrapSteps({ shadow }: Settings, { metrics, embedded }: GatewayResources): WrapApiStep | undefined {
  const observe = metrics?.wrapStep;
  if (shadow === null) return observe;
  const lift = createShadow(shadow, embedded ?? undefined);
  return observe === undefined ? lift : composeWraps(observe, lift);
}

/** The sessions of the web console; `null` where it is not served. */
function composeSessions(settings: Settings, resources: GatewayResources): ConsoleSessions | null {
  const { keyStore, keyStoreFor, deviceSockets, log } = resources;
  if (!settings.console || keyStoreFor === null) return null;
  return createConsoleSessions(
    { clock: systemClock, digests, keyStore, keyStoreFor, pepper: resources.keys.pepper, randomBytes, telemetry: log },
    {
      publicUrl: settings.publicUrl,
      version,
      servesDevices: deviceSockets !== null,
      servesExtensions: true,
      isAdministered: settings.admin === null,
      deviceVersion,
    },
  );
}

/**
 * Creates a function that returns the token authenticator for some settings. All pipelines of a process share one authenticator,
 * and its key set, for as long as the settings stay the same.
 */
export function composeTokenAuthenticator(
  log: (event: LogEvent) => void,
  hasExpired: HasExpired,
): (settings: JwtSettings) => TokenAuthenticator {
  const ports = {
    clock: systemClock,
    digests,
    hasExpired,
    telemetry: log,
    fetchJwks: createHttpJwksFetch(globalThis.fetch, userAgent),
  };
  return reuseTokenAuthenticator((settings) => createTokenAuthenticator(ports, settings));
}
