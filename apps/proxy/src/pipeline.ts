/**
 * The order in which the gateway handles a request: the steps of the API, of `GET /v1/ratelimit` and of the administration, the choice between them,
 * and what follows every response (leases, audit record, log line). Most steps are implemented in the folder of their feature. A step that refuses
 * ends the request with its response. How `add`, `check` and `end` work is in `lib/steps.ts`.
 */
import type { ConnectionRecord } from "@letta-environments/environment-server";
import {
  buildPath,
  type MatchedEndpoint,
  type PlainResponse,
  problemResponse,
  refused,
  type UpgradeDecision,
} from "@letta-environments/schema";
import { type AdminEndpoint, type OptionalAdminEndpoint, createAdminMatcher, isAdminPath } from "./admin/endpoints.ts";
import type { AdminGuard } from "./admin/admission.ts";
import { authoriseEndpoint, authoriseInput } from "./auth/authorise.ts";
import type { GatewayPrincipal } from "./auth/authentication.ts";
import { cacheTtlsOf } from "./cache/policy.ts";
import { sessionPath } from "./console/cookie.ts";
import type { HandleAs } from "./extension-port.ts";
import { createFeatures, type Features } from "./features.ts";
import { createDecideAgain, createRespondAfterWait, decideBeforeWrite, forgetBody } from "./reauthentication.ts";
import { readPreconditions, refusePrecondition } from "./http/conditions.ts";
import { type GatewayRequest, ignoreForwardedHeaders, isSafe, splitQuery } from "./http/gateway-request.ts";
import { failureResponse, finishResponse, noSocketHere, refuseUnlessRead } from "./http/response.ts";
import { createRequestTargets, type ServedEndpoints } from "./http/request-targets.ts";
import { readIdempotencyKey, validateRequest } from "./http/validate-request.ts";
import { catchAll, mapMaybe, type MaybePromise, composeWraps, startSteps } from "./lib/steps.ts";
import { retrieveRateLimit, rateLimitPath } from "./limits/endpoint.ts";
import { groupAddress } from "./limits/client-address.ts";
import type { AuthenticateRequest } from "./limits/authentication.ts";
import { countedDevice, limitQuery, limitRequest } from "./limits/request-limits.ts";
import { routeOf } from "./limits/settings.ts";
import { finishRateLimit, recordRefusal } from "./limits/response.ts";
import { createRequestState, reportRequest, type RequestExchange, type WrapApiStep } from "./request-exchange.ts";
import type { StepName } from "./step-names.ts";
import type { GatewayConfig, GatewayServices } from "./services.ts";
import { shieldTelemetry } from "./telemetry.ts";
import type { AuthorisedRequest, PreparedCall } from "./upstream/upstream.ts";

/** The gateway behind its hosts. No function throws, and no promise rejects. */
export interface Pipeline {
  /** Handles a request of the main listener. Synchronous if every step is. */
  handle(request: GatewayRequest): MaybePromise<PlainResponse>;
  /** Handles a request of the administration listener, which serves nothing but the administration. */
  handleAdmin(request: GatewayRequest): MaybePromise<PlainResponse>;
  /** Decides on a WebSocket before its handshake. */
  upgrade(request: GatewayRequest): MaybePromise<UpgradeDecision>;
  /** Adds the headers that let a permitted web page read a response that the host makes without a step, such as 503 under overload. */
  decorate(response: PlainResponse, request: GatewayRequest): PlainResponse;
  /** Completes and logs a response that the host decides before the first step, such as the refusal of a damaged request head. */
  refuse(request: GatewayRequest, response: PlainResponse): PlainResponse;
  /** Returns the address by which a client is counted. */
  addressOf(request: GatewayRequest): string | null;
}

/** The parts of a pipeline, for endpoints that not every runtime serves. */
export interface PipelineParts {
  readonly services: GatewayServices;
  readonly features: Features;
  readonly config: GatewayConfig;
  /** Creates the steps of the API from other features, and wraps each step. */
  createSteps(features: Features, wrap: WrapApiStep): (exchange: RequestExchange) => MaybePromise<PlainResponse>;
}

/** Creates the parts of a pipeline. `handleAs` runs its steps, once they are composed. */
export function createPipelineParts(given: GatewayServices, config: GatewayConfig, handleAs: HandleAs): PipelineParts {
  const services: GatewayServices = { ...given, telemetry: shieldTelemetry(given.telemetry) };
  return {
    services,
    features: createFeatures(services, config, handleAs),
    config,
    createSteps: (used, wrap) => createApiSteps(services, used, composeWraps(wrap, services.wrapStep)).api,
  };
}

/** Creates the pipeline of a gateway. `createAdminEndpoints` adds endpoints to the administration. */
export function createPipeline(
  given: GatewayServices,
  config: GatewayConfig,
  createAdminEndpoints: (parts: PipelineParts) => readonly OptionalAdminEndpoint[] = () => [],
): Pipeline {
  const parts = createPipelineParts(given, config, handleAs);
  const { services, features } = parts;
  const { consoleSessions } = services;
  const { api, socket } = createApiSteps(services, features, services.wrapStep);
  const rateLimit = createRateLimitSteps(features);
  const { adminGuards, cors, limits } = features;
  const optionalEndpoints = createAdminEndpoints(parts);
  const [admin, adminListener] = [adminGuards.main, adminGuards.listener].map((guard) =>
    createAdminSteps(features, guard, optionalEndpoints),
  );
  const addressOf = limits?.addressOf ?? ((request: GatewayRequest) => groupAddress(request.clientAddress));
  const reporting = { ...services, addressOf };

  function route(incoming: RequestExchange): MaybePromise<PlainResponse> {
    // The session cookie of the web console becomes the credential of the request.
    const exchange = consoleSessions ? { ...incoming, request: consoleSessions.accept(incoming.request) } : incoming;
    const { request } = exchange;
    if (isAdminPath(request.path)) return admin?.(exchange) ?? notFound;
    const preflight = cors.preflight(request);
    if (preflight !== null) return preflight;
    if (request.path === sessionPath) return consoleSessions?.handle(incoming, features) ?? notFound;
    return request.path === rateLimitPath ? rateLimit(exchange) : api(exchange);
  }

  /** Releases what the request holds, and completes the response. The log line of a stream is written when it begins. */
  function finish({ request, state }: RequestExchange, response: PlainResponse): PlainResponse {
    const withLimits = finishRateLimit(state, response);
    state.releaseBody?.();
    reportRequest(state, request, response, reporting);
    const observed = state.observation?.finish(withLimits) ?? withLimits;
    return finishResponse(observed, state.requestId, request.method);
  }

  function respond(
    request: GatewayRequest,
    steps: (exchange: RequestExchange) => MaybePromise<PlainResponse>,
  ): MaybePromise<PlainResponse> {
    const exchange = beginExchange(services, request);
    const responding = mapMaybe(run(services, exchange, steps), (response) => {
      const { action } = exchange.state;
      if (action === null) return finish(exchange, response);
      // Released first: a store with both (a Durable Object) ends the leases of a request and its audit record in one call.
      exchange.state.rateLimit?.release();
      return action.finish(response).then(() => finish(exchange, response));
    });
    // A change that has begun is completed and recorded even if the caller disconnects.
    if (responding instanceof Promise && !isSafe(request.method)) services.background?.(responding);
    return responding;
  }

  function handleAs(request: GatewayRequest, caller: GatewayPrincipal): Promise<PlainResponse> {
    return Promise.resolve(respond(request, (exchange) => api({ ...exchange, caller })));
  }

  return {
    handle: (request) => mapMaybe(respond(request, route), (response) => cors.decorate(response, request)),
    decorate: cors.decorate,
    refuse: (request, response) => cors.decorate(finish(beginExchange(services, request), response), request),
    addressOf,
    handleAdmin: (request) =>
      respond(ignoreForwardedHeaders(request), (exchange) => adminListener?.(exchange) ?? notFound),
    upgrade(request) {
      const exchange = beginExchange(services, request);
      return mapMaybe(run(services, exchange, socket), (outcome): UpgradeDecision => {
        if (!("kind" in outcome)) return refused(finish(exchange, outcome));
        if (outcome.kind === "refused") return refused(finish(exchange, outcome.response));
        // A socket is not a request in progress. The host writes this response.
        finish(exchange, { status: 101, headers: {}, body: null });
        return outcome;
      });
    },
  };
}

function beginExchange(services: GatewayServices, request: GatewayRequest): RequestExchange {
  return { request, state: createRequestState(request, services) };
}

/** Runs the steps of a request, and turns any error into a response. */
function run<Outcome>(
  { telemetry }: Pick<GatewayServices, "telemetry">,
  exchange: RequestExchange,
  steps: (exchange: RequestExchange) => MaybePromise<Outcome | PlainResponse>,
): MaybePromise<Outcome | PlainResponse> {
  const fail = (cause: unknown): PlainResponse => failureResponse(exchange.state.requestId, cause, telemetry);
  return catchAll(() => steps(exchange), fail);
}

/** The steps of the API. Requests and the sockets of devices share the steps up to the rate limits. */
function createApiSteps(services: GatewayServices, features: Features, wrap?: WrapApiStep) {
  const { extensions, bodyOwner, upstream } = features;
  const prepare = createPrepare(features);
  const respondAfterWait = createRespondAfterWait(features);
  const openRecord = createOpenRecord(features);
  const { deviceSockets, environmentCache } = services;
  const served = { devices: deviceSockets !== null, extensions: servedExtensions(services) };
  const isForwarded = services.upstream.kind === "remote";
  const targets = createRequestTargets(served, { budget: features.bodyMemory, isForwarded });

  const admission = startSteps<RequestExchange, StepName>(wrap)
    .add("match the endpoint", ({ request, state }) => {
      const match = targets.match(request);
      if (match.kind === "matched") state.operation = match.endpoint.operation;
      return match;
    })
    .add("authenticate", ({ request, state, caller, endpoint, params }) =>
      mapMaybe(authenticateCaller(features, request, { caller, endpoint, params }), (authentication) => {
        if (authentication.kind === "refused") return recordRefusal(state, authentication);
        const { principal, passThroughKey = null } = authentication;
        state.principal = principal;
        return { principal, passThroughKey };
      }),
    )
    .check("open the audit record", openRecord)
    .check("authorise the endpoint", ({ principal, endpoint, params }) =>
      authoriseEndpoint(principal, endpoint, params),
    )
    .check("apply the rate limits", createApplyLimits(features));

  const api = admission
    .check("refuse a plain request for a socket", ({ endpoint }) =>
      endpoint.successStatus === 101 ? upgradeRequired : null,
    )
    .add("read the idempotency key", ({ request, endpoint }) => readIdempotencyKey(request, endpoint))
    .add("validate query and body", ({ request, state, endpoint, params, principal, passThroughKey, knownInput }) => {
      const owner = bodyOwner(principal, passThroughKey);
      return targets.validate(request, { endpoint, params, owner, holder: state }, knownInput);
    })
    .add("decide again after a late body", createDecideAgain(features, services.clock, openRecord))
    .check("authorise the input", ({ principal, input: { decoded }, state }) => {
      if (state.action !== null) state.action.decoded = decoded;
      return authoriseInput(principal, decoded);
    })
    .check("check the precondition", ({ request }) => refusePrecondition(request.method, readPreconditions(request)))
    .add("prepare the upstream call", (exchange) => {
      const call = prepare(exchange);
      exchange.state.waitSeconds = call.waitSeconds;
      return { call };
    })
    .check("read through the cache", ({ call, state, principal, input: { decoded } }) => {
      if (cacheTtlsOf(principal, decoded) === undefined) return null;
      const reading = environmentCache?.read(call, state) ?? null;
      if (!(reading instanceof Promise) || !upstream.isLoop(call.request)) return reading;
      // The request came back through its own upstream, so it may be waiting for the fetch that caused it. The next step refuses it.
      reading.catch(() => undefined);
      return null;
    })
    .end("call the upstream", async (exchange): Promise<PlainResponse> => {
      const { call, request, principal, state } = exchange;
      const own = extensions?.respond(request, exchange) ?? null;
      if (own !== null) return own;
      const response = await call.fetch(request.signal);
      const { action } = state;
      // Even a failed action may have changed the status of its device.
      if (action?.isStarted === true && action.deviceId !== null) {
        await environmentCache?.invalidate(principal.tenant, { deviceId: action.deviceId });
      }
      // An error does not mean that nothing was changed: the upstream may have acted without responding.
      if (call.endpoint.method === "PATCH" || call.endpoint.method === "DELETE") {
        const { deviceId } = call.params;
        if (deviceId !== undefined) await environmentCache?.invalidate(principal.tenant, { deviceId });
      }
      return respondAfterWait(exchange, response, (changed) => prepare({ ...exchange, ...changed }));
    });

  const socket = admission.end("open the socket", createOpenSocket(services, features));

  return { api, socket };
}

/** Authenticates a request, unless its caller is known. */
function authenticateCaller(
  { authenticate, extensions }: Features,
  request: GatewayRequest,
  { caller, endpoint, params }: MatchedEndpoint & { readonly caller: GatewayPrincipal | undefined },
): ReturnType<AuthenticateRequest> {
  if (caller !== undefined) return { kind: "authenticated", principal: caller };
  return extensions?.authenticate(request, { endpoint, params }) ?? authenticate(request);
}

/** A request whose endpoint and principal are known. */
interface Admitted extends RequestExchange, MatchedEndpoint {
  readonly principal: GatewayPrincipal;
  readonly passThroughKey: string | null;
}

/** Charges a request of the API to the limits of its route and device. A viewer's request is not an action, so its device is looked up here. */
function createApplyLimits({ limits, upstream }: Features) {
  return (admitted: Admitted): MaybePromise<PlainResponse | null> => {
    const { request, state, principal, endpoint, params } = admitted;
    const route = routeOf(endpoint.operation, request.query);
    const limit = (connection: ConnectionRecord | null | undefined): MaybePromise<PlainResponse | null> =>
      limitRequest(limits, admitted, principal, route, countedDevice(principal, params, connection?.environment));
    if (limits === null || route !== "commandDevice") return limit(state.action?.connection);
    return upstream.findConnection(principal.tenant, params["connectionId"] ?? "").then(limit);
  };
}

/** Prepares the upstream call of a request. */
function createPrepare(features: Features) {
  return (exchange: Admitted & Pick<AuthorisedRequest, "input" | "idempotencyKey">): PreparedCall => {
    const { action, requestId } = exchange.state;
    return features.prepareCall({
      ...exchange,
      requestId,
      record: action?.record ?? null,
      connection: action?.connection,
      forgetBody: () => forgetBody(exchange),
      decideAgain: decideBeforeWrite(features, exchange),
    });
  };
}

/** Opens the socket of a device, or of an extension, whose frames are requests of its principal. */
function createOpenSocket({ deviceSockets: sockets }: GatewayServices, { extensions }: Features) {
  return ({ endpoint, params, request, principal }: Admitted): MaybePromise<UpgradeDecision | PlainResponse> => {
    if (endpoint.successStatus !== 101 || sockets === null) return noSocketHere;
    // The server needs none of the caller's headers, and the token in the query was checked already.
    const query = new URLSearchParams(splitQuery(request.query).rest).toString();
    const forwarded = { method: endpoint.method, path: buildPath(endpoint, params), query, headers: {}, body: null };
    const own = extensions?.openSocket(request, { endpoint, params, principal, sockets, forwarded }) ?? null;
    return own ?? sockets.upgrade(forwarded, principal);
  };
}

/**
 * Looks up the connection of a request that acts on a device, and opens its audit record: for a message, and for a control operation of an
 * extension, such as stopping a turn. Other requests have no record.
 */
function createOpenRecord({ upstream, beginSend, extensions }: Features) {
  return ({ endpoint, params, principal, passThroughKey, state }: Admitted): Promise<null> | null => {
    const { operation } = endpoint;
    const begin = operation === "sendMessage" ? beginSend : (extensions?.beginControl(operation) ?? null);
    if (begin === null) return null;
    const { connectionId = "", itemId = null } = params;
    return upstream.findConnection(principal.tenant, connectionId).then((connection) => {
      const { requestId } = state;
      const isCallerKnown = passThroughKey === null;
      state.action = begin({ requestId, connectionId, itemId, principal, isCallerKnown, connection });
      return null;
    });
  };
}

/** The extensions that are served. Requests of a Worker share nothing, so it cannot follow devices. */
function servedExtensions({ apiExtensions = null, upstream }: GatewayServices): ServedEndpoints["extensions"] {
  if (upstream.kind === "remote" && upstream.isolatesRequests === true) return "not_on_workers";
  return apiExtensions !== null;
}

/** The steps of `GET /v1/ratelimit`, which every key may read, whatever its scopes. */
function createRateLimitSteps({ authenticate, limits }: Features) {
  return startSteps<RequestExchange>()
    .check("match the method", ({ request }) => refuseUnlessRead(request.method))
    .add("authenticate", ({ request, state }) => {
      state.operation = "retrieveRateLimit";
      return mapMaybe(authenticate(request), (authentication) => {
        if (authentication.kind === "refused") return recordRefusal(state, authentication);
        state.principal = authentication.principal;
        return { principal: authentication.principal };
      });
    })
    .check("limit the queries", ({ state, principal }) => limitQuery(limits, state, principal))
    .end("read the limits", ({ request, principal }) => retrieveRateLimit(request, principal, limits));
}

/** The steps of the administration, which uses stores and no upstream; `null` where it is not served. */
function createAdminSteps(
  { administer, limits, bodyMemory }: Features,
  guard: AdminGuard | null,
  optionalEndpoints: readonly OptionalAdminEndpoint[],
) {
  if (administer === null || guard === null) return null;
  const matchAdmin = createAdminMatcher(optionalEndpoints);
  return startSteps<RequestExchange>()
    .check("guard the listener", ({ request }) => guard.refuse(request))
    .add("match the endpoint", ({ request, state }) => {
      const match = matchAdmin(request.method, request.path);
      if (match.kind === "matched") state.operation = match.endpoint.operation;
      return match;
    })
    .add("authenticate", ({ request, state }) =>
      mapMaybe(guard.admit(request), (admission) => {
        state.principal = admission.principal ?? null;
        if (admission.kind === "refused") return recordRefusal(state, admission);
        return { principal: admission.principal, readAuthority: admission.authority };
      }),
    )
    .check("apply the rate limits", (exchange) =>
      exchange.principal === null ? null : limitRequest(limits, exchange, exchange.principal, "administerKeys"),
    )
    .add("validate query and body", ({ request, state, endpoint, principal }) => {
      const memory = { budget: bodyMemory, owner: principal ?? ("operator" as const) };
      return validateRequest(request, endpoint, { memory, holder: state, isForwarded: false });
    })
    .add("read the authority", ({ readAuthority }) => readAuthority())
    .end("administer", ({ request, endpoint, params, input, principal, authority }) => {
      const tenantDevices = principal?.tenantDevices ?? null;
      const optional = optionalEndpoints.find((other) => other.endpoint === endpoint);
      if (optional !== undefined) {
        const accept = request.header("accept");
        return optional.respond({ ...input.decoded, accept, tenantDevices }, authority);
      }
      const preconditions = readPreconditions(request);
      // All other endpoints are the administration's own.
      const own = endpoint as AdminEndpoint;
      return administer({ endpoint: own, params, ...input.decoded, preconditions, tenantDevices }, authority);
    });
}

const notFound = problemResponse("endpoint_not_found");
// RFC 9110 section 7.8 requires `Connection: Upgrade`. Hosts add `close` only where the field is absent, so it is included.
const upgradeHeaders = { upgrade: "websocket", connection: "close, Upgrade" };
const upgradeRequired = problemResponse("upgrade_required", { headers: upgradeHeaders });
