/**
 * A server elsewhere, called over HTTP with the tenant's credential. It knows nothing of gateway keys, so the gateway itself limits a principal to its
 * devices and its mode, and removes the members that the principal may not see.
 */
import { messageDeduplicationHeader, type PlainResponse, problemResponse } from "@letta-environments/schema";
import { retrieveLoggedMessage } from "../idempotency/message-status.ts";
import { createSends } from "../idempotency/sends.ts";
import { type IdempotencyStore, retentionMs } from "../idempotency/store.ts";
import type { Deadline } from "../lib/deadline.ts";
import type { GatewayPorts, UpstreamFetch } from "../ports.ts";
import type { ConcurrencyLimits } from "./concurrency.ts";
import { createConnectionLookup } from "./connections.ts";
import { isLimitedToDevices, listPermitted, presentList, presentRow } from "./environments.ts";
import { presentApprovals } from "./extensions/approvals.ts";
import { buildRemoteRequest, createCallRemote, type ReadRemote, readRequest } from "./remote-call.ts";
import { createChangeRemoteDevice, type RemoteDevicePorts } from "./extensions/devices.ts";
import { presentLastRuntime } from "./extensions/last-runtime.ts";
import { createControlRemote } from "./extensions/control.ts";
import { createSendRemote } from "./remote-send.ts";
import type { Upstream, UpstreamCall } from "./upstream.ts";

/** Settings of a remote upstream. */
export interface RemoteUpstreamOptions {
  readonly fetch: UpstreamFetch;
  /** Remembers sends, so that a repeat is not delivered again. */
  readonly idempotencyStore: IdempotencyStore;
  /** Whether responses say that clients may rely on it. */
  readonly declaresDeduplication: boolean;
  /** The gateway's own `User-Agent`. */
  readonly userAgent: string;
  /** Whether requests may wait for what another one reads. */
  readonly sharesSearches: boolean;
  readonly concurrency: ConcurrencyLimits;
  readonly auditFor: RemoteDevicePorts["auditFor"];
}

/** Creates the {@link Upstream} over a remote server. */
export function createRemoteUpstream(
  ports: Pick<GatewayPorts, "background" | "clock" | "digests" | "random" | "telemetry">,
  {
    fetch,
    idempotencyStore,
    declaresDeduplication,
    userAgent,
    sharesSearches,
    concurrency,
    auditFor,
  }: RemoteUpstreamOptions,
): Upstream {
  const { clock, digests, background = () => undefined, telemetry } = ports;
  const callRemote = createCallRemote(ports, fetch, concurrency);
  const connections = createConnectionLookup(clock, { sharesSearches });
  const sends = createSends({
    store: idempotencyStore,
    clock,
    background,
    onFailure: (operation, cause) => telemetry({ type: "idempotency_failed", operation, cause }),
  });
  const changeDevice = createChangeRemoteDevice({ callRemote, auditFor });
  const send = createSendRemote({ clock, sha256: digests.sha256, connections, sends, callRemote });

  const control = createControlRemote({ clock, connections, callRemote });

  function forward(call: UpstreamCall): Promise<PlainResponse> {
    const { endpoint: own, decoded, principal, deadline } = call;
    const request = buildRemoteRequest(call, userAgent);
    const readUntil =
      (until: Deadline): ReadRemote =>
      async (endpoint, params, query) =>
        (await callRemote(endpoint, readRequest(request, endpoint, params, query), until)).response;
    switch (decoded.operation) {
      case "listEnvironments":
        return isLimitedToDevices(principal) || decoded.query.tag !== undefined
          ? listPermitted(principal, call.query, decoded.query, readUntil(deadline))
          : callRemote(own, request, deadline).then(({ response }) => presentList(principal, response));
      case "retrieveEnvironment":
        return callRemote(own, request, deadline).then(({ response }) => presentRow(principal, response));
      case "sendMessage":
        return send({ call, input: decoded, request, reads: { deadline, readUntil } });
      case "retrieveMessage":
        return retrieveLoggedMessage(sends, decoded, principal);
      case "retrieveLastRuntime":
        return callRemote(own, request, deadline).then((exchange) =>
          presentLastRuntime(principal, exchange, readUntil(deadline)),
        );
      case "updateEnvironment":
      case "removeEnvironment":
        return changeDevice({ call, input: decoded, request, read: readUntil(deadline) });
      case "stopTurn":
      case "changeMode":
      case "changeDirectory":
      case "resumeQueue":
      case "removeQueueItem":
        return control({ call, connectionId: decoded.params.connectionId, request, reads: { deadline, readUntil } });
      case "listApprovals":
        return callRemote(own, request, deadline).then(({ response }) =>
          presentApprovals(principal, response, readUntil(deadline)),
        );
      case "streamEvents":
      case "registerEnvironment":
      case "openDeviceSocket":
      case "openViewerSocket":
      case "createViewerTicket":
        // A remote server has endpoints of its own for devices and viewers.
        return Promise.resolve(problemResponse("endpoint_not_found"));
    }
  }

  return {
    forward: (call) => (declaresDeduplication ? forward(call).then(declareDeduplication) : forward(call)),
    findConnection: () => Promise.resolve(undefined),
    forget: connections.forget,
  };
}

/** Adds the header that lets clients repeat a send whose outcome they do not know. The gateway recognises it, whatever the upstream does. */
function declareDeduplication(response: PlainResponse): PlainResponse {
  return { ...response, headers: { ...response.headers, [messageDeduplicationHeader]: String(retentionMs / 1_000) } };
}
