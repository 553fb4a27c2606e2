/** Composes the extensions of the API and plugs them into `extension-port.ts`. Only runtimes that serve them import this file. */
import {
  type ControlOperation,
  endpoints,
  lastEventIdHeader,
  type Operation,
  problemResponse,
} from "@letta-environments/schema";
import { createAuditViewers, createBeginControl } from "./audit/control.ts";
import { createAuditDeviceChange } from "./audit/device-changes.ts";
import type { ExtensionParts, Extensions, ExtensionSteps } from "./extension-port.ts";
import { createEventStreams, type EventStreams, type EventStreamsOptions } from "./streams/event-streams.ts";
import type { AuditFor } from "./upstream/extensions/devices.ts";
import { connectRemoteExtensions } from "./upstream/extensions/forward.ts";
import { createAuthenticateViewer, keepTicketCredential, type TicketCredentials } from "./viewers/credential.ts";
import { clientFactsOf, createViewerRequests, type ViewerRequestPorts } from "./viewers/requests.ts";

/** Creates the extensions. `streams` is `null` in front of a remote environment server. */
export function createExtensions(streams: EventStreamsOptions | null = null): Extensions {
  const eventStreams = streams && createEventStreams(streams);
  const shared: SharedAcrossReloads = { eventStreams, ticketCredentials: new WeakMap(), viewerPorts: null };
  return {
    connectRemote: (services) => (tools) => connectRemoteExtensions(tools, auditFor(services)),
    createSteps: (parts) => createSteps(parts, shared),
    end: () => eventStreams?.end(),
  };
}

/** Audits changes of devices at a remote upstream. */
function auditFor({ audit, telemetry }: Pick<ExtensionParts, "audit" | "telemetry">): AuditFor {
  if (audit === null) return () => (_change, run) => run();
  return ({ keyId, tenant }, requestId) => {
    const onFailure = (cause: unknown): void => telemetry({ type: "audit_failed", requestId, cause });
    return createAuditDeviceChange(audit, { kind: "key", keyId, tenant }, onFailure);
  };
}

/** The parts that outlive a reload of the configuration. */
interface SharedAcrossReloads {
  readonly eventStreams: EventStreams | null;
  readonly ticketCredentials: TicketCredentials;
  /** The ports of the current configuration, used by the open sockets of viewers. */
  viewerPorts: ViewerRequestPorts | null;
}

function createSteps(parts: ExtensionParts, shared: SharedAcrossReloads): ExtensionSteps {
  const { audit, onAuditFailure, upstream, deviceSockets } = parts;
  const actionLog = { log: audit, onFailure: onAuditFailure };
  const { eventStreams, ticketCredentials } = shared;
  const authenticateViewer = createAuthenticateViewer(parts.authenticate, parts.cors, deviceSockets, ticketCredentials);
  const begin = createBeginControl({ ...actionLog, randomId: parts.randomId });
  const viewerPorts = { ...parts, audit: createAuditViewers(actionLog) };
  shared.viewerPorts = viewerPorts;
  const currentPorts = (): ViewerRequestPorts => shared.viewerPorts ?? viewerPorts;
  return {
    authenticate: (request, { endpoint, params }) =>
      endpoint.operation === "openViewerSocket" ? authenticateViewer(request, params["connectionId"] ?? "") : null,
    beginControl: (operation) => (isControl(operation) ? (facts) => begin(operation, facts) : null),
    respond(request, { input: { decoded }, principal, state: { requestId } }) {
      if (decoded.operation === "streamEvents") {
        const lastEventId = request.header(lastEventIdHeader);
        const authorization = request.header("authorization");
        const { query } = decoded;
        return (
          eventStreams?.open({ principal, requestId, query, lastEventId, authorization }, parts.checkCredential) ??
          noStreamsHere
        );
      }
      if (decoded.operation === "createViewerTicket") keepTicketCredential(ticketCredentials, request, principal);
      return null;
    },
    openSocket(request, { endpoint, params, principal, sockets, forwarded }) {
      if (endpoint.operation !== "openViewerSocket") return null;
      const { connectionId = "" } = params;
      const client = clientFactsOf(request);
      return upstream.findConnection(principal.tenant, connectionId).then((connection) => {
        const deviceId = connection?.environment.deviceId ?? connectionId;
        const requests = createViewerRequests(currentPorts, { principal, connectionId, deviceId, client });
        return sockets.upgrade(forwarded, principal, requests);
      });
    },
  };
}

const noStreamsHere = problemResponse("endpoint_not_found", {
  detail: "Events need the embedded environment server: this gateway is in front of another one.",
});

function isControl(operation: Operation): operation is ControlOperation {
  return endpoints[operation].scope === "control";
}
