/**
 * A server elsewhere, called over HTTP with the tenant's credential. It knows nothing of gateway keys, so the gateway itself limits a principal to its
 * devices and its mode, and removes the members that the principal may not see.
 */
import type { Clock } from "@letta-environments/platform";
import {
  allowsDevice,
  allowsMode,
  endpoints,
  type PlainResponse,
  type Principal,
  problemResponse,
} from "@letta-environments/schema";
import type { Deadline } from "../lib/deadline.ts";
import type { GatewayPorts, UpstreamFetch } from "../ports.ts";
import {
  alwaysRead,
  type ConnectionLookup,
  createConnectionLookup,
  type LookupReads,
  maxRowAgeMs,
} from "./connections.ts";
import type { ConcurrencyLimits } from "./concurrency.ts";
import type { FoundConnection } from "./connection-search.ts";
import { isLimitedToDevices, listPermitted, presentList, presentRow, readUpstreamRow } from "./environments.ts";
import { buildRemoteRequest, createCallRemote, type ReadRemote, readRequest } from "./remote-call.ts";
import { releaseSend, type Upstream, type UpstreamCall } from "./upstream.ts";

/** Settings of a remote upstream. */
export interface RemoteUpstreamOptions {
  readonly fetch: UpstreamFetch;
  /** The gateway's own `User-Agent`. */
  readonly userAgent: string;
  /** Whether requests may wait for what another one reads. */
  readonly sharesSearches: boolean;
  readonly concurrency: ConcurrencyLimits;
}

/** Creates the {@link Upstream} over a remote server. */
export function createRemoteUpstream(
  ports: Pick<GatewayPorts, "clock" | "random" | "telemetry">,
  { fetch, userAgent, sharesSearches, concurrency }: RemoteUpstreamOptions,
): Upstream {
  const callRemote = createCallRemote(ports, fetch, concurrency);
  const connections = createConnectionLookup(ports.clock, { sharesSearches });
  return {
    forward(call) {
      const { decoded, principal, deadline } = call;
      const request = buildRemoteRequest(call, userAgent);
      const readUntil =
        (until: Deadline): ReadRemote =>
        (endpoint, params, query) =>
          callRemote(endpoint, readRequest(request, endpoint, params, query), until);
      const read = readUntil(deadline);
      switch (decoded.operation) {
        case "listEnvironments":
          return list(principal, call.query, decoded.query.limit, read);
        case "retrieveEnvironment":
          return retrieve(principal, () => read(endpoints.retrieveEnvironment, decoded.params, call.query));
        case "sendMessage": {
          const { connectionId } = decoded.params;
          const forwardSend = (): Promise<PlainResponse> => callRemote(endpoints.sendMessage, request, deadline);
          return send(
            call,
            findPermitted(connections, principal, connectionId, { deadline, readUntil }),
            ports.clock,
            forwardSend,
          );
        }
        case "registerEnvironment":
        case "openDeviceSocket":
          // A remote server has endpoints of its own for devices.
          return Promise.resolve(problemResponse("endpoint_not_found"));
      }
    },
    findConnection: () => Promise.resolve(undefined),
    forget: connections.forget,
  };
}

async function list(
  principal: Principal,
  query: string,
  limit: number | undefined,
  read: ReadRemote,
): Promise<PlainResponse> {
  if (isLimitedToDevices(principal)) return listPermitted(principal, query, limit, read);
  return presentList(principal, await read(endpoints.listEnvironments, {}, query));
}

async function retrieve(principal: Principal, read: () => Promise<PlainResponse>): Promise<PlainResponse> {
  const response = await read();
  if (isLimitedToDevices(principal)) {
    // A device outside the limits and one that does not exist must look alike.
    if (response.status === 404) return problemResponse("environment_not_found");
    if (response.status !== endpoints.retrieveEnvironment.successStatus) return response;
    const row = readUpstreamRow(response.body);
    if (row === null) return problemResponse("upstream_invalid_response");
    if (!allowsDevice(principal, row)) return problemResponse("environment_not_found");
  }
  return presentRow(principal, response);
}

async function send(
  call: UpstreamCall,
  finding: Promise<FoundConnection>,
  clock: Pick<Clock, "monotonic">,
  forwardSend: () => Promise<PlainResponse>,
): Promise<PlainResponse> {
  const found = await finding;
  if (found.kind === "refused") return found.response;
  return (await releaseSend(call, clock, found.row.deviceId)) ?? forwardSend();
}

/** The row of a connection that the principal may send to, or the response for the caller. */
async function findPermitted(
  connections: ConnectionLookup,
  principal: Principal,
  connectionId: string,
  reads: LookupReads,
): Promise<FoundConnection> {
  // A mode can change at any time, so a key with a maximum mode reads it for every send.
  const maxAgeMs = principal.maxMode === null ? maxRowAgeMs : alwaysRead;
  const found = await connections.find(principal, connectionId, reads, maxAgeMs);
  if (found.kind === "refused") return found;
  const { row } = found;
  if (!allowsDevice(principal, row)) return { kind: "refused", response: problemResponse("connection_not_found") };
  const currentMode = typeof row["currentMode"] === "string" ? row["currentMode"] : undefined;
  if (!allowsMode(principal, currentMode)) return { kind: "refused", response: problemResponse("mode_not_allowed") };
  return found;
}
