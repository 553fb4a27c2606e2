/**
 * Frames of a viewer as requests of the gateway. Operations of the API run through the same steps as over HTTP, with the
 * principal of the socket. Other commands are charged to the limits of their own route and written to the audit log.
 */
import type { ApiCall, CommandFacts, ViewerRequests } from "@letta-environments/environment-server";
import type { RandomId } from "@letta-environments/platform";
import { buildPath, endpoints } from "@letta-environments/schema";
import type { AuditViewers, ViewerCommandFacts } from "../audit/control.ts";
import type { GatewayPrincipal } from "../auth/authentication.ts";
import type { HandleAs } from "../extension-port.ts";
import { type GatewayRequest, makeRequest } from "../http/gateway-request.ts";
import { errorCodeOf } from "../http/response.ts";
import type { RequestLimits } from "../limits/request-limits.ts";
import type { Telemetry } from "../telemetry.ts";

export interface ViewerRequestPorts {
  readonly randomId: RandomId;
  readonly limits: RequestLimits | null;
  readonly audit: AuditViewers;
  readonly telemetry: Telemetry;
  readonly handleAs: HandleAs;
}

/** The socket that the frames arrive on. */
export interface ViewerSocket {
  readonly principal: GatewayPrincipal;
  readonly connectionId: string;
  readonly deviceId: string;
  /** Where the upgrade request came from. */
  readonly client: ClientFacts;
}

/** The facts of a request by which its client is counted. */
export interface ClientFacts {
  readonly clientAddress: string | null;
  readonly forwarding: ReadonlyMap<string, string | null>;
}

/** Reads {@link ClientFacts}, so that the request itself need not be kept as long as its socket. */
export function clientFactsOf(request: GatewayRequest): ClientFacts {
  const fields = ["x-forwarded-for", "forwarded"];
  return {
    clientAddress: request.clientAddress,
    forwarding: new Map(fields.map((name) => [name, request.header(name)])),
  };
}

/**
 * Creates the requests of one socket.
 *
 * @param ports Returns the ports of the current configuration, because a socket may stay open for days.
 */
export function createViewerRequests(ports: () => ViewerRequestPorts, socket: ViewerSocket): ViewerRequests {
  const { principal, connectionId, deviceId, client } = socket;

  function factsOf({ type, agentId, conversationId }: CommandFacts): ViewerCommandFacts {
    const { tenant, keyId, owner } = principal;
    const requestId = ports().randomId("req");
    return { requestId, tenant, keyId, owner, connectionId, deviceId, command: type, agentId, conversationId };
  }

  function report({ requestId, tenant, keyId, command }: ViewerCommandFacts, errorCode: string | null): void {
    const facts = { requestId, tenant, keyId, command, ...(errorCode !== null && { errorCode }) };
    ports().telemetry({ type: "viewer_command", ...facts });
  }

  return {
    // A request that a viewer has sent is not cancelled when the viewer only disconnects.
    perform: (call, signal) => ports().handleAs({ ...toRequest(call, connectionId, client), signal }, principal),
    async admit(command) {
      const { limits, audit } = ports();
      const facts = factsOf(command);
      const address = limits?.addressOf(toRequest(null, connectionId, client)) ?? null;
      const taken = await limits?.take(principal, "commandDevice", { address, device: deviceId });
      // The command has no response of its own that could hold a lease.
      taken?.release();
      // Commands that only read the state of a conversation are not in the audit log, as reads over HTTP are not.
      const refusal = taken?.refusal ?? (command.scope === "view" ? null : await audit.record(facts));
      report(facts, refusal === null ? null : errorCodeOf(refusal));
      return refusal;
    },
    refused(command, code) {
      const facts = factsOf(command);
      ports().audit.recordRefused(facts, code);
      report(facts, code);
    },
  };
}

function toRequest(call: ApiCall | null, connectionId: string, client: ClientFacts): GatewayRequest {
  const endpoint = endpoints[call?.operation ?? "openViewerSocket"];
  const path = buildPath(endpoint, { connectionId, itemId: call?.itemId ?? "" });
  const query = new URLSearchParams(call?.query ?? {}).toString();
  return makeRequest(
    { method: endpoint.method, path, query, body: call?.body ?? undefined },
    (name) => client.forwarding.get(name) ?? null,
    client.clientAddress,
  );
}
