import {
  allowsDevice,
  allowsMode,
  endpoints,
  type Endpoint,
  type ListEnvironmentsQuery,
  type PlainResponse,
  type Principal,
  problemResponse,
} from "@letta-environments/schema";
import type { GatewayPorts, UpstreamRequest } from "../ports.ts";
import type { UpstreamOptions } from "./settings.ts";
import type { Forward } from "./forward.ts";
import { listAllowed } from "./list-allowed.ts";
import { presentListResponse, presentRowResponse } from "./present-response.ts";
import {
  type CallUpstream,
  createResolveConnection,
  maxRowAgeMs,
  type ResolveConnection,
  type ResolvedConnection,
} from "./resolve-connection.ts";
import type { Deadline } from "../lib/deadline.ts";
import { readUpstreamRow } from "./upstream-row.ts";

/** What the request meant, for the decisions that need more than its bytes. */
export interface RequestMeaning {
  readonly params: Readonly<Record<string, string>>;
  /** Decoded query; `null` when the endpoint takes none. */
  readonly queryValues: unknown;
  /** Decoded body; `null` when the endpoint takes none. */
  readonly bodyValue: unknown;
  /** Called before a send leaves, with its device where only now it is known; a response goes to the caller in its place. */
  readonly beforeSend: (deviceId: string | null) => Promise<PlainResponse | null>;
}

/** {@link Forward} for what a principal may see and do. */
export interface ForwardAuthorised {
  forward(
    endpoint: Endpoint,
    request: UpstreamRequest,
    deadline: Deadline,
    meaning: RequestMeaning,
  ): Promise<PlainResponse>;
  /** Drops what is remembered for a principal. */
  forget(principal: Principal): void;
}

/**
 * Holds a principal to its devices, its mode and what it may be shown, in front of a server that knows nothing of them. The
 * embedded server does all of this itself, by the principal.
 */
export function createForwardAuthorised(
  forward: Forward,
  { clock }: Pick<GatewayPorts, "clock">,
  config: Pick<UpstreamOptions, "upstream">,
): ForwardAuthorised {
  if (config.upstream.kind === "embedded") return forwardEmbedded(forward);
  const connections = createResolveConnection(clock);
  const forwardHeld: ForwardAuthorised["forward"] = async (endpoint, request, deadline, meaning) => {
    const call: CallUpstream = (called, sent) => forward(called, sent, deadline);
    switch (endpoint.operation) {
      case "listEnvironments":
        return list(request, meaning, call);
      case "retrieveEnvironment":
        return retrieve(request, call);
      case "sendMessage": {
        const resolved = await resolveSend(connections, request, meaning, call);
        if (resolved.kind === "refused") return resolved.response;
        const held = await meaning.beforeSend(resolved.row.deviceId);
        if (held !== null) return held;
        // Nothing was sent yet, which a timeout of the send itself could not say.
        if (clock.monotonic() >= deadline.atMs) return problemResponse("upstream_timeout");
        return call(endpoint, request);
      }
      case "registerEnvironment":
      case "openDeviceSocket":
        // A remote server gets its devices by itself.
        return problemResponse("endpoint_not_found");
    }
  };
  return { forward: forwardHeld, forget: connections.forget };
}

/** The embedded server needs no help but this: nothing reaches it before it is written down. */
function forwardEmbedded(forward: Forward): ForwardAuthorised {
  const forwardSeen: ForwardAuthorised["forward"] = async (endpoint, request, deadline, meaning) => {
    if (endpoint.operation === "sendMessage") {
      const held = await meaning.beforeSend(null);
      if (held !== null) return held;
    }
    return forward(endpoint, request, deadline);
  };
  return { forward: forwardSeen, forget: () => undefined };
}

async function list(request: UpstreamRequest, meaning: RequestMeaning, call: CallUpstream): Promise<PlainResponse> {
  const { principal } = request;
  const readPage = (page: UpstreamRequest): Promise<PlainResponse> => call(endpoints.listEnvironments, page);
  if (!isHeldToDevices(principal)) return presentListResponse(principal, await readPage(request));
  // The endpoint's own schema has decoded it.
  return listAllowed(request, meaning.queryValues as ListEnvironmentsQuery, readPage);
}

async function retrieve(request: UpstreamRequest, call: CallUpstream): Promise<PlainResponse> {
  const { principal } = request;
  const response = await call(endpoints.retrieveEnvironment, request);
  if (isHeldToDevices(principal)) {
    // A device that is out of bounds and one that does not exist must look alike.
    if (response.status === 404) return problemResponse("environment_not_found");
    if (response.status !== 200) return response;
    const row = readUpstreamRow(response.body);
    if (row === null) return problemResponse("upstream_invalid_response");
    if (!allowsDevice(principal, row)) return problemResponse("environment_not_found");
  }
  return presentRowResponse(principal, response);
}

/** The row of a send that may go on, or what the caller is told instead. */
async function resolveSend(
  connections: ResolveConnection,
  request: UpstreamRequest,
  { params }: RequestMeaning,
  call: CallUpstream,
): Promise<ResolvedConnection> {
  const { principal } = request;
  // A mode can change at any time: under a ceiling it is read for each send.
  const maxAgeMs = principal.maxMode === null ? maxRowAgeMs : -1;
  const resolved = await connections.resolve(params["connectionId"] ?? "", request, call, maxAgeMs);
  if (resolved.kind === "refused") return resolved;
  const { row } = resolved;
  if (!allowsDevice(principal, row)) return { kind: "refused", response: problemResponse("connection_not_found") };
  const currentMode = typeof row["currentMode"] === "string" ? row["currentMode"] : undefined;
  if (!allowsMode(principal, currentMode)) return { kind: "refused", response: problemResponse("mode_not_allowed") };
  return resolved;
}

function isHeldToDevices({ deviceIds, connectionNames, tenantDevices = null }: Principal): boolean {
  return deviceIds !== null || connectionNames !== null || tenantDevices !== null;
}
