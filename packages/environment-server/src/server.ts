/** The environment server: `handle` takes whole HTTP requests, `operate` decoded ones. `server-context.ts` creates the parts that `operations/` share. */
import {
  allowsEndpoint,
  ChangeRefusedError,
  checkIdempotencyKey,
  declareDeduplication,
  type Decoded,
  type DecodedRequest,
  decodeRequest,
  type Endpoint,
  idempotencyKeyHeader,
  matchEndpoint,
  openApiPath,
  openApiResponse,
  type OpenApiSource,
  type Operation,
  type OperationInputs,
  type PlainRequest,
  type PlainResponse,
  preferHeader,
  type Principal,
  problemResponse,
  readPreferredWait,
  refused,
  type UpgradeDecision,
} from "@letta-environments/schema";
import { createClosing, createRunningWork } from "./closing.ts";
import { listApprovals } from "./operations/approvals/list.ts";
import type { RequestContext, ServerContext } from "./operations/context.ts";
import type { DeviceAdministration } from "./operations/devices.ts";
import { type EventsDecision, type EventsRequest, openEvents } from "./operations/events.ts";
import { routeListMessages } from "./operations/messages/list.ts";
import { removeEnvironment, updateEnvironment } from "./operations/change-environment.ts";
import { listEnvironments, retrieveEnvironment, retrieveLastRuntime } from "./operations/read.ts";
import { decideUpgrade, registerEnvironment } from "./operations/register.ts";
import { createViewerTicket, decideViewerUpgrade, directRequests } from "./operations/viewer.ts";
import { unavailableResponse } from "./lock-waiting-store.ts";
import { createServerContext, type EnvironmentServerOptions } from "./server-context.ts";
import type { ConnectionRecord } from "./ports.ts";
import type { ConnectedDevice } from "./socket/connection.ts";
import type { ConnectedViewer, ViewerRequests } from "./viewers/ports.ts";

export type { EnvironmentServerOptions } from "./server-context.ts";

/** The environment server: the HTTP API as functions, and the devices' sockets. */
export interface EnvironmentServer {
  /**
   * Handles an HTTP request of a principal: matches the endpoint, checks its scope, decodes the input and runs
   * {@link EnvironmentServer.operate}. Every failure is a problem response. The promise rejects only with the reason of an
   * aborted `signal`.
   */
  handle(request: PlainRequest, principal: Principal, context: RequestContext): Promise<PlainResponse>;
  /**
   * Runs one operation with decoded input, for callers that have matched the endpoint, checked the principal's scope for it
   * and decoded the input. Checks that depend on the content, such as the device allowlist, agents, the maximum mode and the
   * scope `approve`, happen here. Failures are the same as in {@link EnvironmentServer.handle}.
   */
  operate<Name extends Operation>(
    operation: Name,
    input: OperationInputs[Name],
    principal: Principal,
    context: RequestContext,
  ): Promise<PlainResponse>;
  /**
   * Finds the connection that a send names; `null` when the tenant has none with this id. Pass the result as
   * `context.connection` to {@link EnvironmentServer.operate}, so that a send is looked up once. Rejects when the store fails.
   */
  findConnection(tenant: string, connectionId: string): Promise<ConnectionRecord | null>;
  /**
   * Opens a stream of events, as `streamEvents`, for callers that have checked the scope of the endpoint and decoded its query. Never
   * rejects.
   */
  openEvents(request: EventsRequest, principal: Principal): Promise<EventsDecision>;
  /** Ends every stream of events. Call it when the process begins to stop: requests in progress would wait for them. */
  endEvents(): void;
  /**
   * Decides on the upgrade request of a device or a viewer, before any handshake. Never rejects.
   *
   * @param viewerRequests the host's functions for a viewer's frames; without them, frames are neither limited nor
   *   recorded
   */
  upgrade(request: PlainRequest, principal: Principal, viewerRequests?: ViewerRequests): Promise<UpgradeDecision>;
  /**
   * Returns the principal that created a ticket for the socket of a viewer, once; `null` for any other text. Its credential may have ended
   * since: authenticate it again before you open the socket.
   */
  redeemTicket(ticket: string, connectionId: string): Principal | null;
  /** The administration of stored devices, for callers that have decided who may administer them. */
  readonly devices: DeviceAdministration;
  /** Devices with an open socket here. Each is the same object as long as its socket is open. */
  connectedDevices(): readonly ConnectedDevice[];
  /** Viewers with an open socket here, in the same way. */
  connectedViewers(): readonly ConnectedViewer[];
  /** The number of requests for permission that wait for a decision, for metrics. */
  pendingApprovals(): number;
  /**
   * Closes, with 1008, the sockets of the devices and viewers for which `isEnded` returns true. Call it after their keys are refused at
   * registration: a device registers again immediately, and exits when that is refused.
   */
  closeEnded(isEnded: (device: ConnectedDevice) => boolean): void;
  /**
   * Closes, with 1013, the sockets of the devices for which `isChanged` returns true, because their approval policy changed. Each opens its
   * connection again, keeps its turn and its queue, and gets the policy of the new socket. That policy can deny a pending request earlier than the
   * old one, but not later.
   */
  closeChanged(isChanged: (device: ConnectedDevice) => boolean): void;
  /** Refuses new work, closes the sockets, and resolves when everything is stored. */
  close(): Promise<void>;
}

/** Creates an environment server over a store. It opens no port and uses only the timers of its clock. */
export function createEnvironmentServer(options: EnvironmentServerOptions): EnvironmentServer {
  const closing = createClosing();
  const { track, settled } = createRunningWork();
  const server = createServerContext(options, closing, track);
  const { store, hub, messages, approvals, changes, pending, removals, devices } = server;

  async function perform(
    request: DecodedRequest,
    principal: Principal,
    context: RequestContext,
  ): Promise<PlainResponse> {
    if (closing.hasBegun) return problemResponse("shutting_down");
    const responding = runOperation(server, request, principal, context);
    const declared = undeclaredOperations.has(request.operation) ? responding : responding.then(declareDeduplication);
    return track(declared).catch((cause: unknown) => {
      if (context.signal?.aborted === true && cause === context.signal.reason) throw cause;
      if (cause instanceof ChangeRefusedError) return cause.response;
      return reportFailure(server, request.operation, cause);
    });
  }

  async function performRequest(request: PlainRequest, principal: Principal, context: RequestContext) {
    const decoded = decode(request, principal);
    return decoded.ok ? perform(decoded.value, principal, withHeaders(context, request)) : decoded.response;
  }

  const performAs = (principal: Principal) => (request: PlainRequest, signal: AbortSignal) =>
    performRequest(request, principal, { authority: null, signal });

  return {
    async handle(request, principal, context) {
      if (closing.hasBegun) return problemResponse("shutting_down");
      const response =
        options.openApi !== undefined && request.path === openApiPath
          ? await describeApi(server, request, options.openApi)
          : await performRequest(request, principal, context);
      return request.method === "HEAD" ? { ...response, body: null } : response;
    },
    operate: (operation, input, principal, context) =>
      // The type of `input` follows from `operation`, which the compiler cannot see through a type parameter.
      perform({ ...input, operation } as unknown as DecodedRequest, principal, context),
    openEvents: (request, principal) =>
      openEvents(server, request, principal).catch((cause: unknown) => ({
        kind: "refused",
        response: reportFailure(server, "streamEvents", cause),
      })),
    endEvents: () => changes.streams.end("shutdown"),
    findConnection: (tenant, connectionId) => store.findConnection(tenant, connectionId),
    async upgrade(request, principal, viewerRequests = directRequests(request.path, performAs(principal))) {
      if (closing.hasBegun) return refused(problemResponse("shutting_down"));
      return track(upgrade(server, request, principal, viewerRequests)).catch((cause: unknown) => {
        return refused(reportFailure(server, "openDeviceSocket", cause));
      });
    },
    redeemTicket: server.tickets.redeem,
    devices,
    connectedDevices: hub.connectedDevices,
    connectedViewers: server.viewers.connectedViewers,
    pendingApprovals: approvals.count,
    closeEnded(isEnded) {
      hub.closeEnded(isEnded);
      server.viewers.closeEnded(isEnded);
    },
    closeChanged: hub.closeChanged,
    async close() {
      closing.begin();
      removals.close();
      server.viewers.close();
      const socketsClosed = hub.close();
      await pending.close();
      await settled();
      await socketsClosed;
      await messages.close();
      await approvals.close();
      await changes.close();
    },
  };
}

function withHeaders(context: RequestContext, { headers }: PlainRequest): RequestContext {
  return {
    ...context,
    idempotencyKey: headers[idempotencyKeyHeader] ?? null,
    waitSeconds: readPreferredWait(headers[preferHeader]),
  };
}

/** Matches a request, checks the principal's scope and decodes the input. */
function decode({ method, path, query, headers, body }: PlainRequest, principal: Principal): Decoded<DecodedRequest> {
  const match = matchEndpoint(method, path);
  if (match.kind === "refused") return { ok: false, response: match.response };
  const denied = checkScope(match.endpoint, principal);
  if (denied !== null) return { ok: false, response: denied };
  // Other operations ignore the header.
  const isSend = match.endpoint.operation === "sendMessage";
  const invalid = isSend ? checkIdempotencyKey(headers[idempotencyKeyHeader]) : null;
  if (invalid !== null) return { ok: false, response: invalid };
  return decodeRequest(match, { query, body, contentType: headers["content-type"] });
}

/** Returns 403 `insufficient_scope` when the principal lacks the scope of an endpoint, else `null`. */
function checkScope(endpoint: Endpoint, principal: Principal): PlainResponse | null {
  if (allowsEndpoint(principal, endpoint)) return null;
  const { scope } = endpoint;
  const detail = `The gateway key lacks the scope '${scope}', which this operation needs.`;
  return problemResponse("insufficient_scope", { detail });
}

/** Operations whose responses say nothing about messages: devices, streams, sockets and tickets. */
const undeclaredOperations: ReadonlySet<Operation> = new Set([
  "registerEnvironment",
  "createViewerTicket",
  "streamEvents",
  "openDeviceSocket",
  "openViewerSocket",
]);

async function runOperation(
  server: ServerContext,
  request: DecodedRequest,
  principal: Principal,
  context: RequestContext,
): Promise<PlainResponse> {
  switch (request.operation) {
    case "listEnvironments":
      return listEnvironments(server, request, principal);
    case "retrieveEnvironment":
      return retrieveEnvironment(server, request, principal);
    case "listMessages":
      return routeListMessages(server, request, principal, context);
    case "updateEnvironment":
      return updateEnvironment(server, request, principal, context);
    case "removeEnvironment":
      return removeEnvironment(server, request, principal, context);
    case "retrieveLastRuntime":
      return retrieveLastRuntime(server, request, principal);
    case "listApprovals":
      return listApprovals(server, request, principal);
    case "registerEnvironment":
      return registerEnvironment(server, request, principal, context);
    case "createViewerTicket":
      return createViewerTicket(server, request, principal, context);
    case "streamEvents":
      return problemResponse("endpoint_not_found", { detail: "This server does not send streams." });
    case "openDeviceSocket":
    case "openViewerSocket":
      // RFC 9110 section 15.5.22: a 426 response names the protocol to upgrade to.
      return problemResponse("upgrade_required", { headers: { upgrade: "websocket", connection: "Upgrade" } });
    default:
      return server.router.deliver({ request, principal, context });
  }
}

async function upgrade(
  server: ServerContext,
  request: PlainRequest,
  principal: Principal,
  viewerRequests: ViewerRequests,
): Promise<UpgradeDecision> {
  const match = matchEndpoint(request.method, request.path);
  if (match.kind === "refused") return match;
  if (match.endpoint.successStatus !== 101 || request.method !== "GET") {
    return refused(problemResponse("endpoint_not_found"));
  }
  const denied = checkScope(match.endpoint, principal);
  if (denied !== null) return refused(denied);
  const decoded = decodeRequest(match, { query: request.query, body: null, contentType: undefined });
  if (!decoded.ok) return refused(decoded.response);
  const { value } = decoded;
  if (value.operation === "openViewerSocket") return decideViewerUpgrade(server, value, principal, viewerRequests);
  return decideUpgrade(server, match.params["connectionId"] ?? "", request.query, principal);
}

function describeApi(
  server: ServerContext,
  { method, headers }: PlainRequest,
  source: OpenApiSource,
): Promise<PlainResponse> {
  return openApiResponse(method, headers["if-none-match"] ?? null, source).catch((cause: unknown) =>
    reportFailure(server, "describeApi", cause),
  );
}

function reportFailure({ emit }: ServerContext, operation: string, cause: unknown): PlainResponse {
  emit({ type: "request_failed", operation, cause });
  return unavailableResponse(cause) ?? problemResponse("internal_error");
}
