import {
  allowsDevice,
  matchEndpoint,
  type PlainRequest,
  type PlainResponse,
  type Principal,
  problemResponse,
} from "@letta-environments/schema";
import type { UpgradeDecision } from "../socket/device-socket.ts";
import { checkScope } from "./check-scope.ts";
import type { ServerContext } from "./operation-context.ts";

/**
 * Decides about a device's upgrade request. Every refusal is made here, before the handshake: a device backs off after a
 * refused upgrade, but reconnects at once and without end when an open socket is closed.
 *
 * Refusals: 403 `insufficient_scope`, 404 `connection_not_found` (unknown, another tenant's, outside the key's allowlist, or
 * another device's), 403 `device_owned_by_another_key` unless the key is the one that registered, 409 `connection_replaced`.
 */
export async function decideUpgrade(
  context: ServerContext,
  request: PlainRequest,
  principal: Principal,
): Promise<UpgradeDecision> {
  const match = matchEndpoint(request.method, request.path);
  if (match.kind === "refused") return match;
  if (match.endpoint.operation !== "openDeviceSocket" || request.method !== "GET") {
    return refuse(problemResponse("endpoint_not_found"));
  }
  const denied = checkScope(match.endpoint, principal);
  if (denied !== null) return refuse(denied);
  const record = await context.store.findConnection(principal.tenant, match.params["connectionId"] ?? "");
  if (record === null) return refuse(problemResponse("connection_not_found"));
  const { deviceId, id } = record.environment;
  const claimed = new URLSearchParams(request.query).get("deviceId") ?? deviceId;
  if (claimed !== deviceId || !allowsDevice(principal, record.environment))
    return refuse(problemResponse("connection_not_found"));
  if (record.keyId !== principal.keyId) return refuse(problemResponse("device_owned_by_another_key"));
  if (record.replaced || context.hub.generation(id) > record.generation) {
    return refuse(problemResponse("connection_replaced"));
  }
  if (context.isClosing()) return refuse(problemResponse("shutting_down"));
  return { kind: "accepted", attach: (socket) => context.hub.attach(record, principal.credentialId ?? null, socket) };
}

function refuse(response: PlainResponse): UpgradeDecision {
  return { kind: "refused", response };
}
