/**
 * A server elsewhere, called over HTTP with the tenant's credential. It knows nothing of gateway keys, so the gateway itself limits a principal to its
 * devices and its mode, and removes the members that the principal may not see.
 */
import type { Clock, RandomId, Sha256 } from "@letta-environments/platform";
import {
  declareDeduplication,
  type DecodedRequest,
  isUserHidden,
  jsonResponse,
  type PlainResponse,
  problemResponse,
} from "@letta-environments/schema";
import type { GatewayRequest } from "../http/gateway-request.ts";
import { createSends, type Sends } from "../idempotency/sends.ts";
import type { IdempotencyStore } from "../idempotency/store.ts";
import type { Unreleased } from "../idempotency/unreleased.ts";
import type { Deadline } from "../lib/deadline.ts";
import type { GatewayPorts, UpstreamFetch, UpstreamRequest } from "../ports.ts";
import type { ConcurrencyLimits } from "./concurrency.ts";
import { type ConnectionLookup, createConnectionLookup } from "./connections.ts";
import { isLimitedToDevices, listPermitted, presentList, presentRow } from "./environments.ts";
import { buildRemoteRequest, type CallRemote, createCallRemote, type ReadRemote, readRequest } from "./remote-call.ts";
import { sendRemote } from "./remote-send.ts";
import type { Upstream, UpstreamCall } from "./upstream.ts";
import { contentFaultOf } from "./validate-response.ts";

export interface RemoteUpstreamOptions {
  readonly fetch: UpstreamFetch;
  /** Remembers sends, so that a repeat is not delivered again. */
  readonly idempotencyStore: IdempotencyStore;
  /** Undelivered sends that outlive this upstream; absent: there are none. */
  readonly unreleased?: Unreleased | undefined;
  /** Whether responses declare that repeats are deduplicated (`X-Message-Deduplication`). */
  readonly declaresDeduplication: boolean;
  /** The gateway's own `User-Agent`. */
  readonly userAgent: string;
  /** Whether requests may wait for what another one reads. */
  readonly sharesSearches: boolean;
  readonly concurrency: ConcurrencyLimits;
  /** Operations of extensions; absent: they are `endpoint_not_found`. */
  readonly connectExtensions?: ConnectRemoteExtensions | undefined;
}

/** Parts of a remote upstream that extensions use. */
export interface RemoteTools {
  readonly clock: Clock;
  readonly connections: ConnectionLookup;
  readonly callRemote: CallRemote;
  readonly sends: Sends;
  readonly sha256: Sha256;
}

type CoreOperation =
  | "listEnvironments"
  | "retrieveEnvironment"
  | "sendMessage"
  | "registerEnvironment"
  | "openDeviceSocket";

/** A call of an extension's operation. */
export interface ExtensionCall {
  readonly call: UpstreamCall;
  readonly decoded: Exclude<DecodedRequest, { readonly operation: CoreOperation }>;
  readonly request: UpstreamRequest;
  /** Reads of the same request, until a deadline. */
  readonly readUntil: (until: Deadline) => ReadRemote;
}

/** Runs an extension's operation and returns the response for the caller. */
export type ForwardExtension = (call: ExtensionCall) => Promise<PlainResponse>;

/** Prepares the operations of extensions. */
export type ConnectRemoteExtensions = (tools: RemoteTools) => ForwardExtension;

/** Creates the {@link Upstream} over a remote server. */
export function createRemoteUpstream(
  ports: Pick<GatewayPorts, "background" | "clock" | "digests" | "random" | "randomId" | "telemetry">,
  options: RemoteUpstreamOptions,
): Upstream {
  const { clock, digests, background = () => undefined, telemetry } = ports;
  const { userAgent, sharesSearches } = options;
  const callRemote = createCallRemote(ports, options.fetch, options.concurrency);
  const appendVia = createAppendVia(ports.randomId);
  const connections = createConnectionLookup(clock, { sharesSearches });
  const sends = createSends({
    store: options.idempotencyStore,
    unreleased: options.unreleased,
    clock,
    background,
    onFailure: (operation, cause) => telemetry({ type: "idempotency_failed", operation, cause }),
  });
  const tools: RemoteTools = { clock, connections, callRemote, sends, sha256: digests.sha256 };
  const forwardExtension = options.connectExtensions?.(tools);

  async function forward(call: UpstreamCall): Promise<PlainResponse> {
    const response = await respond(call);
    const fault = contentFaultOf(response);
    const { operation } = call.endpoint;
    if (fault !== undefined) telemetry({ type: "upstream_failed", operation, ...fault, ...success, cause: null });
    return response;
  }

  async function respond(call: UpstreamCall): Promise<PlainResponse> {
    const { endpoint: own, decoded, principal, deadline } = call;
    const via = appendVia(call.request);
    if (via === null) return problemResponse("loop_detected");
    const request = buildRemoteRequest(call, { userAgent, via });
    const readUntil =
      (until: Deadline): ReadRemote =>
      async (endpoint, params, query) =>
        (await callRemote(endpoint, readRequest(request, endpoint, params, query), until)).response;
    switch (decoded.operation) {
      case "listEnvironments":
        if (isUserHidden(principal, decoded.query.userId)) return emptyList;
        return isLimitedToDevices(principal) || decoded.query.tag !== undefined
          ? listPermitted(principal, call.query, decoded.query, readUntil(deadline))
          : presentList(principal, (await callRemote(own, request, deadline)).response);
      case "retrieveEnvironment":
        return presentRow(principal, decoded.params.deviceId, (await callRemote(own, request, deadline)).response);
      case "sendMessage":
        return sendRemote(tools, { call, input: decoded, request, reads: { deadline, readUntil } });
      case "registerEnvironment":
      case "openDeviceSocket":
        // A remote server has its own endpoints for devices.
        return notServed;
      default:
        return forwardExtension?.({ call, decoded, request, readUntil }) ?? notServed;
    }
  }

  return {
    forward: (call) => (options.declaresDeduplication ? forward(call).then(declareDeduplication) : forward(call)),
    findConnection: () => Promise.resolve(undefined),
    isLoop: (request) => appendVia(request) === null,
    forget: connections.forget,
  };
}

/** The form of a response that passed `validateResponse`. */
const success = { status: 200, contentType: "application/json" };
const emptyList = jsonResponse(200, { connections: [], hasNextPage: false });
const notServed = problemResponse("endpoint_not_found");

/** A received `Via` that is forwarded. A longer one would let a caller fill the head of the request. */
const appendableVia = /^[\t\x20-\x7e]{1,512}$/;

/**
 * Creates a function that returns the `Via` (RFC 9110 section 7.6.3) of a request to the upstream; `null` if this gateway has already forwarded the
 * request. Without that, a gateway that is its own upstream would call itself until no connection is left. The pseudonym in it is one that no other
 * gateway has, so that several gateways can be chained.
 */
export function createAppendVia(randomId: RandomId): (request: Pick<GatewayRequest, "header">) => string | null {
  const pseudonym = randomId("letta-proxy");
  // The same for every HTTP version of callers: a constant text costs nothing, and only the name is read again.
  const own = `1.1 ${pseudonym}`;
  return (request) => {
    const received = request.header("via") ?? "";
    if (received.includes(pseudonym)) return null;
    return appendableVia.test(received) ? `${received}, ${own}` : own;
  };
}
