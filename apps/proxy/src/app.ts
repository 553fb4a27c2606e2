/**
 * The gateway's pipeline. This is the only place that orders the steps of a request:
 *
 * request id -> route match and id allowlist -> authenticate -> authorise -> rate limit -> validate -> cache (reads) or audit (sends) -> upstream -> response headers.
 */
import type { UpgradeDecision } from "@letta-environments/environment-server";
import {
  type KnownEndpoint,
  type PlainResponse,
  type Principal,
  problemResponse,
  type SendMessageBody,
} from "@letta-environments/schema";
import { type AdminGuard, createAdminGuards } from "./admin/admission.ts";
import { isAdminPath, matchAdminEndpoint } from "./admin/endpoints.ts";
import { createAdminister } from "./admin/handler.ts";
import { beginSend, createAuditSends } from "./audit/sends.ts";
import { createAuthenticateCaller } from "./auth/authenticate-caller.ts";
import { createAuthenticateRequest } from "./auth/authenticate-request.ts";
import { authoriseBody, authoriseEndpoint } from "./auth/authorise.ts";
import type { GatewayPrincipal } from "./auth/gateway-principal.ts";
import type { LimitedRoute } from "./config/rate-limit-file.ts";
import { createCors } from "./cors.ts";
import { failureResponse } from "./failure-response.ts";
import { finishResponse } from "./finish-response.ts";
import type { GatewayRequest } from "./gateway-request.ts";
import { matchRequest } from "./match-request.ts";
import type { ProxyPorts } from "./ports.ts";
import type { ProxyConfig } from "./proxy-config.ts";
import { answerRateLimit, rateLimitPath, refuseRateLimitMethod } from "./rate-limit/answer-rate-limit.ts";
import { endLimits, limitRequest, noteRefused } from "./rate-limit/limit-request.ts";
import { createRequestLimits } from "./rate-limit/request-limits.ts";
import { withoutForwarding } from "./rate-limit/without-forwarding.ts";
import { beginTrace, endTrace, type RequestTrace } from "./request-trace.ts";
import { createCredentialChoice } from "./upstream/choose-credential.ts";
import { buildUpstreamRequest } from "./upstream/build-upstream-request.ts";
import { createForward } from "./upstream/forward.ts";
import { createForwardAuthorised, type RequestMeaning } from "./upstream/forward-authorised.ts";
import type { Deadline } from "./upstream/run-with-deadline.ts";
import { validateRequest } from "./validate-request.ts";

/** The gateway. No function rejects. */
export interface Proxy {
  handle(request: GatewayRequest): Promise<PlainResponse>;
  /** Answers on the administration listener, where nothing but the administration of keys exists. */
  handleAdmin(request: GatewayRequest): Promise<PlainResponse>;
  /** Decides on a WebSocket before its handshake. */
  upgrade(request: GatewayRequest): Promise<UpgradeDecision>;
}

type Admission =
  | {
      readonly kind: "admitted";
      readonly endpoint: KnownEndpoint;
      readonly params: Readonly<Record<string, string>>;
      readonly principal: Principal;
      /** The upstream key that the caller brought along. */
      readonly ownCredential: string | null;
    }
  | { readonly kind: "refused"; readonly response: PlainResponse };

/** Composes the gateway from its ports. */
export function createProxy(ports: ProxyPorts, config: ProxyConfig): Proxy {
  const callers = createAuthenticateCaller(ports, config);
  const limits =
    ports.rateLimiter === null || config.rateLimits === undefined
      ? null
      : createRequestLimits(ports.rateLimiter, config.rateLimits, ports);
  const authenticate = createAuthenticateRequest(callers, limits);
  const cors = createCors(config.corsOrigins ?? []);
  const upstream = createForwardAuthorised(createForward(ports, config), ports, config);
  const credentials = createCredentialChoice(ports, config, {
    onRefused(ownCredential, principal, request) {
      callers.forget(ownCredential);
      upstream.forget(principal);
      void ports.environmentCache?.invalidate(principal.tenant, { group: "everything" });
      void limits?.countFailure(limits.addressOf(request));
    },
    onAccepted: callers.confirm,
  });
  const sends = createAuditSends(ports.audit, {
    keepContent: config.auditContent === true,
    onFailure: (requestId, cause) => ports.telemetry({ type: "audit_failed", requestId, cause }),
  });
  const administer = ports.admin === undefined ? null : createAdminister({ ...ports, ...ports.admin });
  const authenticateKey = createAuthenticateRequest({ authenticate: callers.authenticateKey }, limits);
  const adminGuards = createAdminGuards(ports, { authenticate, authenticateKey }, config);

  /** The steps that requests and sockets share. */
  async function admit(request: GatewayRequest, trace: RequestTrace): Promise<Admission> {
    const match = matchRequest(request.method, request.path, ports.deviceSockets !== null);
    if (match.kind === "refused") return match;
    const { endpoint, params } = match;
    trace.operation = endpoint.operation;

    const authentication = await authenticate(request);
    if (authentication.kind === "refused") return { ...authentication, response: noteRefused(trace, authentication) };
    const { principal } = authentication;
    trace.principal = principal;
    if (endpoint.operation === "sendMessage") {
      const isKnown = authentication.ownCredential === undefined;
      trace.send = await beginSend(ports, trace.requestId, principal, isKnown, params);
    }

    const refusal =
      authoriseEndpoint(principal, endpoint, params) ??
      (await limit(request, trace, principal, endpoint.operation, deviceOf(trace, params)));
    if (refusal !== null) return { kind: "refused", response: refusal };
    return { kind: "admitted", endpoint, params, principal, ownCredential: authentication.ownCredential ?? null };
  }

  function limit(
    request: GatewayRequest,
    trace: RequestTrace,
    principal: GatewayPrincipal,
    route: LimitedRoute,
    device: string | null,
  ): PlainResponse | null | Promise<PlainResponse | null> {
    if (limits === null) return null;
    return limitRequest(limits, trace, principal, route, { address: limits.addressOf(request), device });
  }

  async function respond(request: GatewayRequest, trace: RequestTrace): Promise<PlainResponse> {
    if (isAdminPath(request.path)) return answerAdmin(request, trace, adminGuards.main);
    if (request.path === rateLimitPath) return cors.preflight(request) ?? tellLimits(request, trace);
    return cors.preflight(request) ?? answer(request, trace);
  }

  /** What is left of the limits, for whoever has a key, whatever its scopes. */
  async function tellLimits(request: GatewayRequest, trace: RequestTrace): Promise<PlainResponse> {
    const refusal = refuseRateLimitMethod(request.method);
    if (refusal !== null) return refusal;
    trace.operation = "retrieveRateLimit";
    const authentication = await authenticate(request);
    if (authentication.kind === "refused") return noteRefused(trace, authentication);
    trace.principal = authentication.principal;
    return answerRateLimit(request, authentication.principal, limits);
  }

  /** The same steps for the administration of keys, which has the key store behind it and no upstream. */
  async function answerAdmin(
    request: GatewayRequest,
    trace: RequestTrace,
    guard: AdminGuard | null,
  ): Promise<PlainResponse> {
    if (administer === null || guard === null) return problemResponse("endpoint_not_found");
    const refusal = guard.refuse(request);
    if (refusal !== null) return refusal;
    const match = matchAdminEndpoint(request.method, request.path);
    if (match.kind === "refused") return match.response;
    trace.operation = match.endpoint.operation;

    const admission = await guard.admit(request);
    if (admission.kind === "refused") return noteRefused(trace, admission);
    trace.principal = admission.principal;
    const { principal } = admission;
    const limited = principal === null ? null : await limit(request, trace, principal, "administerKeys", null);
    if (limited !== null) return limited;

    const validation = await validateRequest(request, match.endpoint);
    if (validation.kind === "refused") return validation.response;
    const verdict = await admission.authority();
    if (verdict.kind === "refused") return verdict.response;
    return administer({ ...match, ...validation.input, ifMatch: request.header("if-match") }, verdict.authority);
  }

  async function answer(request: GatewayRequest, trace: RequestTrace): Promise<PlainResponse> {
    const admission = await admit(request, trace);
    if (admission.kind === "refused") return admission.response;
    const { endpoint, params, principal, ownCredential } = admission;
    if (endpoint.successStatus === 101)
      return problemResponse("upgrade_required", { headers: { upgrade: "websocket" } });

    const validation = await validateRequest(request, endpoint);
    if (validation.kind === "refused") return validation.response;
    const { query, queryValues, body, bodyValue } = validation.input;
    // The endpoint's own schema has decoded it.
    if (trace.send !== null) trace.send.body = bodyValue as SendMessageBody;
    const refusal = authoriseBody(principal, endpoint, bodyValue);
    if (refusal !== null) return refusal;

    const credential = credentials(request, trace.requestId, principal, ownCredential);
    const parts = { endpoint, params, query, body, principal, requestId: trace.requestId, credential };
    const meaning: RequestMeaning = { params, queryValues, bodyValue, beforeSend };
    const atMs = ports.clock.now() + config.upstreamTimeoutMs;
    const forward = (deadline: Deadline): Promise<PlainResponse> => {
      return upstream.forward(endpoint, buildUpstreamRequest(request, parts, config), deadline, meaning);
    };
    // One deadline for all that is done for a request, however often; what is done behind its answer has its own.
    const fetch = (signal?: AbortSignal): Promise<PlainResponse> =>
      forward(
        signal === undefined ? { atMs: ports.clock.now() + config.upstreamTimeoutMs, signal: never } : { atMs, signal },
      );
    const read = { request, endpoint, params, query, principal, credential: credential?.value ?? null, fetch };
    const cached = ports.environmentCache?.read(read) ?? null;
    if (cached !== null) return cached;
    const response = await forward({ atMs, signal: request.signal });
    // Whatever became of it: a send may have changed what its device says of itself.
    const { send } = trace;
    if (send?.isStarted === true && send.deviceId !== null) {
      await ports.environmentCache?.invalidate(principal.tenant, { deviceId: send.deviceId });
    }
    return response;

    function beforeSend(deviceId: string | null): Promise<PlainResponse | null> {
      return trace.send === null ? Promise.resolve(null) : sends.start(trace.send, deviceId);
    }
  }

  async function decide(request: GatewayRequest, trace: RequestTrace): Promise<UpgradeDecision> {
    const admission = await admit(request, trace);
    if (admission.kind === "refused") return admission;
    const { endpoint, params, principal } = admission;
    if (endpoint.successStatus !== 101 || ports.deviceSockets === null) return noSocketHere;

    const query = new URLSearchParams(request.query).toString();
    const parts = { endpoint, params, query, body: null, principal, requestId: trace.requestId };
    return ports.deviceSockets.upgrade(buildUpstreamRequest(request, parts, config), principal);
  }

  function failure({ requestId }: RequestTrace, cause: unknown): PlainResponse {
    return failureResponse(requestId, cause, ports.telemetry);
  }

  async function traced(
    request: GatewayRequest,
    work: (trace: RequestTrace) => Promise<PlainResponse>,
  ): Promise<PlainResponse> {
    const trace = beginTrace(request, ports);
    const response = await work(trace).catch((cause: unknown) => failure(trace, cause));
    if (trace.send !== null) await sends.finish(trace.send, response);
    const limited = endLimits(trace, response);
    endTrace(trace, request.method, response.status, ports);
    return finishResponse(limited, trace.requestId, request.method);
  }

  return {
    handle: async (request) => cors.decorate(await traced(request, (trace) => respond(request, trace)), request),
    handleAdmin(given) {
      const request = withoutForwarding(given);
      return traced(request, (trace) => answerAdmin(request, trace, adminGuards.listener));
    },
    async upgrade(request) {
      const trace = beginTrace(request, ports);
      const decision = await decide(request, trace).catch((cause: unknown): UpgradeDecision => ({
        kind: "refused",
        response: failure(trace, cause),
      }));
      endTrace(trace, request.method, decision.kind === "refused" ? decision.response.status : 101, ports);
      if (decision.kind === "accepted") return decision;
      const response = endLimits(trace, decision.response);
      return { kind: "refused", response: finishResponse(response, trace.requestId, request.method) };
    },
  };
}

/** The device that a request is about. Where a send's device is not known yet its connection stands for it. */
function deviceOf({ send }: RequestTrace, params: Readonly<Record<string, string>>): string | null {
  return send?.deviceId ?? params["deviceId"] ?? params["connectionId"] ?? null;
}

/** The signal of what nobody waits for. */
const never = new AbortController().signal;

const noSocketHere: UpgradeDecision = {
  kind: "refused",
  response: problemResponse("endpoint_not_found", { detail: "No WebSocket is served at this path." }),
};
