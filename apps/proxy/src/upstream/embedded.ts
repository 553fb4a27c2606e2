/**
 * The environment server in the same process. It receives decoded input and the principal, and checks devices, agents and modes itself, so nothing
 * is matched, decoded or authorised twice.
 */
import { buildPath, type Endpoint, type PlainRequest, type PlainResponse } from "@letta-environments/schema";
import type { EmbeddedServer, GatewayPorts } from "../ports.ts";
import { controlRecordOf, recordOf, refuseLate, runCall, type Upstream, type UpstreamCall } from "./upstream.ts";

/** Creates the {@link Upstream} over the embedded server. */
export function createEmbeddedUpstream(
  ports: Pick<GatewayPorts, "clock" | "telemetry">,
  server: EmbeddedServer,
): Upstream {
  return {
    async forward(call) {
      if (call.endpoint.operation === "sendMessage" || call.endpoint.scope === "control") {
        const record = call.endpoint.operation === "sendMessage" ? recordOf(call) : controlRecordOf(call);
        const refusal = await record.start(call.connection?.environment.deviceId ?? null);
        const response = refusal ?? refuseLate(call, ports.clock);
        if (response !== null) return response;
      }
      const outcome = await runCall(ports, call.endpoint, call.deadline, (signal) => operate(server, call, signal));
      return outcome.kind === "finished" ? outcome.result : outcome.response;
    },
    findConnection: (tenant, connectionId) => server.findConnection(tenant, connectionId),
    forget: () => undefined,
  };
}

function operate(server: EmbeddedServer, call: UpstreamCall, signal: AbortSignal): Promise<PlainResponse> {
  const { decoded, principal, request, connection } = call;
  const context = { authority: request.authority, signal };
  const found = { ...context, ...(connection !== undefined && { connection }) };
  // A switch, since the compiler matches an operation to its input for a single operation only.
  switch (decoded.operation) {
    case "listEnvironments":
      return server.operate(decoded.operation, decoded, principal, context);
    case "retrieveEnvironment":
      return server.operate(decoded.operation, decoded, principal, context);
    case "sendMessage":
      return server.operate(decoded.operation, decoded, principal, {
        ...found,
        idempotencyKey: call.idempotencyKey,
      });
    case "registerEnvironment":
      return server.operate(decoded.operation, decoded, principal, context);
    case "openDeviceSocket":
      return server.operate(decoded.operation, decoded, principal, context);
    case "stopTurn":
      return server.operate(decoded.operation, decoded, principal, found);
    case "changeMode":
      return server.operate(decoded.operation, decoded, principal, found);
    case "changeDirectory":
      return server.operate(decoded.operation, decoded, principal, found);
    case "resumeQueue":
      return server.operate(decoded.operation, decoded, principal, found);
    case "removeQueueItem":
      return server.operate(decoded.operation, decoded, principal, found);
  }
}

/** The upgrade request of a device, as the embedded server receives it. Of the caller's headers it needs none. */
export function deviceSocketRequest(
  endpoint: Endpoint,
  params: Readonly<Record<string, string>>,
  rawQuery: string,
): PlainRequest {
  const query = new URLSearchParams(rawQuery).toString();
  return { method: endpoint.method, path: buildPath(endpoint, params), query, headers: {}, body: null };
}
