/**
 * The features that the steps of the pipeline call, created from the services of a runtime and the configuration. A reload replaces all of them;
 * anything that must survive a reload is kept behind a service (`services.ts`).
 */
import { type AdminGuards, createAdminGuards } from "./admin/admission.ts";
import { type Administer, createAdminister } from "./admin/handler.ts";
import type { GatewayPrincipal } from "./auth/authentication.ts";
import type { BeginAction } from "./audit/actions.ts";
import { createBeginSend } from "./audit/sends.ts";
import { type CallerAuthenticator, createCallerAuthenticator } from "./auth/caller.ts";
import { liftAndRemember } from "./auth/shadow.ts";
import { configurePermissions } from "./auth/tenant-guard.ts";
import type { ExtensionSteps, HandleAs } from "./extension-port.ts";
import type { BodyBudget, BodyOwner } from "./http/body-memory.ts";
import { type Cors, createCors } from "./http/cors.ts";
import { type AuthenticateRequest, createAuthenticateRequest } from "./limits/authentication.ts";
import { createRequestLimits, type RequestLimits } from "./limits/request-limits.ts";
import { keyPolicies, overridablePolicies } from "./limits/settings.ts";
import type { ConfigurePermissions } from "./keys/socket-permissions.ts";
import type { GatewayConfig, GatewayServices } from "./services.ts";
import { divideCalls } from "./upstream/concurrency.ts";
import { createRemoteUpstream, type RemoteUpstreamOptions } from "./upstream/remote.ts";
import { type ChooseCredential, createPrepareCall, type PrepareCall, type Upstream } from "./upstream/upstream.ts";
import { mapMaybe } from "./lib/steps.ts";
import { type CheckCredential, createCheckCredential, replaceCheck } from "./reauthentication.ts";

export interface Features {
  readonly authenticate: AuthenticateRequest;
  /** Re-authenticates the credential of a request under the current configuration. Does not count as a request. */
  readonly checkCredential: CheckCredential;
  readonly applyTenant: CallerAuthenticator["applyTenant"];
  /** Accepts gateway keys alone. */
  readonly authenticateKey: AuthenticateRequest;
  /** Accepts gateway keys only, and counts failures as failed sign-ins. */
  readonly authenticateSignIn: AuthenticateRequest;
  /** `null` where nothing is limited. */
  readonly limits: RequestLimits | null;
  readonly cors: Cors;
  /** `null` where bodies are not counted. */
  readonly bodyMemory: BodyBudget | null;
  /** Returns the owner whose memory budget a caller's bodies count against. `passThroughKey`: the caller's own upstream key, if it sent one. */
  readonly bodyOwner: (principal: GatewayPrincipal, passThroughKey: string | null) => BodyOwner;
  readonly upstream: Upstream;
  readonly prepareCall: PrepareCall;
  readonly beginSend: BeginAction;
  /** `null` without extensions. */
  readonly extensions: ExtensionSteps | null;
  readonly adminGuards: AdminGuards;
  /** Applies the configuration to a key that an administering key would change or explain. */
  readonly configure: ConfigurePermissions;
  /** `null` where keys are not administered over HTTP. */
  readonly administer: Administer | null;
}

/**
 * Creates the features of one gateway. They open nothing, so nothing has to be closed when a reload replaces the gateway.
 *
 * @param handleAs Runs the steps that call these features, once they are composed.
 */
export function createFeatures(services: GatewayServices, config: GatewayConfig, handleAs: HandleAs): Features {
  const { upstream: server } = services;
  const callers = createCallerAuthenticator(services, {
    ...config,
    passThrough: config.passThrough && server.kind === "remote",
    admitsTenant: server.kind === "remote" ? server.admitsTenant : undefined,
    operatorToken: config.adminListener?.token ?? config.operatorToken ?? null,
  });
  const limits =
    services.rateLimiter === null ? null : createRequestLimits(services.rateLimiter, config.rateLimits, services);
  const upstream =
    server.kind === "embedded"
      ? server.createUpstream(services)
      : createRemoteUpstream(services, remoteOptions(services, server, config));
  const onAuditFailure = (requestId: string, cause: unknown): void =>
    services.telemetry({ type: "audit_failed", requestId, cause });
  const keys = { authenticate: callers.authenticateKey };
  const authentication = {
    authenticate: createAuthenticateRequest(callers, limits),
    checkCredential: replaceCheck(services.currentCheck ?? {}, createCredentialCheck(callers, services)),
    authenticateKey: createAuthenticateRequest(keys, limits),
    authenticateSignIn: createAuthenticateRequest(keys, limits?.signIns ?? null),
    applyTenant: callers.applyTenant,
  };
  const chooseCredential = createChooseCredential(services, { callers, upstream, limits });
  const cors = createCors(config.corsOrigins);
  const configure = configurePermissions(config.approvals, services.liftRestrictions ?? ((own) => own));
  const parts = { onAuditFailure, cors, limits, upstream, handleAs };
  return {
    ...authentication,
    limits,
    cors,
    bodyMemory: services.bodyMemory ?? null,
    bodyOwner: (principal, passThroughKey) =>
      passThroughKey === null || callers.passThrough?.knows(passThroughKey) === true ? principal : "unverified",
    upstream,
    prepareCall: createPrepareCall(services, upstream, chooseCredential, config.upstreamTimeoutMs),
    beginSend: createBeginSend({
      log: services.audit,
      onFailure: onAuditFailure,
      keepContent: config.auditContent,
      randomId: services.randomId,
    }),
    extensions: services.apiExtensions?.createSteps({ ...services, ...authentication, ...parts }) ?? null,
    adminGuards: createAdminGuards(services, authentication, config),
    configure,
    administer:
      services.admin === undefined
        ? null
        : createAdminister({
            ...services,
            ...services.admin,
            configure,
            policies: keyPolicies(config.rateLimits.limits),
            overridable: overridablePolicies(config.rateLimits.limits),
          }),
  };
}

/** The parts of the services and of the configuration that a remote upstream uses. */
function remoteOptions(
  services: GatewayServices,
  server: Extract<GatewayServices["upstream"], { readonly kind: "remote" }>,
  { userAgent, maxConcurrentPerTenant }: Pick<GatewayConfig, "userAgent" | "maxConcurrentPerTenant">,
): RemoteUpstreamOptions {
  const { fetch, idempotencyStore, unreleased, maxConcurrent } = server;
  const sharesSearches = server.isolatesRequests !== true;
  return {
    fetch,
    idempotencyStore,
    unreleased,
    userAgent,
    sharesSearches,
    declaresDeduplication: server.isStoreVolatile !== true,
    connectExtensions: services.apiExtensions?.connectRemote(services),
    concurrency: divideCalls(maxConcurrent, maxConcurrentPerTenant, sharesSearches),
  };
}

/** Checks credentials as the pipeline authenticates them, including lifted restrictions. */
function createCredentialCheck(
  { authenticate }: CallerAuthenticator,
  { hasExpired, liftRestrictions: lift = (own) => own }: GatewayServices,
): CheckCredential {
  return createCheckCredential(
    (authorization) =>
      mapMaybe(authenticate(authorization), (result) =>
        result.kind === "refused" ? result : { ...result, principal: liftAndRemember(result.principal, lift) },
      ),
    hasExpired,
  );
}

/**
 * Creates a {@link ChooseCredential}: the caller's own key at a remote server if the caller sent one, otherwise the tenant's credential. When the
 * upstream refuses a caller's own key, the refusal is reported with the caller's address.
 */
function createChooseCredential(
  { upstream: server, environmentCache, telemetry }: GatewayServices,
  { callers, upstream, limits }: Pick<Features, "limits" | "upstream"> & { readonly callers: CallerAuthenticator },
): ChooseCredential {
  if (server.kind === "embedded") return () => undefined;
  return ({ request, requestId, principal, passThroughKey }) => {
    if (passThroughKey === null) {
      const value = server.credentialOf(principal.tenant);
      return value === null ? undefined : { value };
    }
    return {
      value: passThroughKey,
      onCallerAccepted: () => callers.passThrough?.confirm(passThroughKey),
      onCallerRefused(status) {
        callers.passThrough?.forget(passThroughKey);
        upstream.forget(principal);
        void environmentCache?.invalidate(principal.tenant, { group: "everything" });
        void limits?.countFailure(limits.addressOf(request));
        const { keyId } = principal;
        telemetry({ type: "pass_through_refused", requestId, status, keyId, clientAddress: request.clientAddress });
      },
    };
  };
}
