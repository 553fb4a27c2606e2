/** The opening of a device's socket. The socket itself is in `socket/`. */
import {
  allowsDevice,
  type Principal,
  problemResponse,
  refused,
  type UpgradeDecision,
} from "@letta-environments/schema";
import { ownerOf } from "../socket/connection.ts";
import type { ServerContext } from "./context.ts";
import { throttledResponse } from "./reach.ts";

/**
 * Decides on the upgrade request of a device. Every refusal happens here, before the handshake: a device backs off after a
 * refused upgrade, but reconnects immediately and forever when an open socket is closed.
 *
 * Refusals: 404 `connection_not_found` (unknown, of another tenant, outside the key's allowlist, or of another device), 403
 * `device_owned_by_another_key` unless the key is the one that registered, 409 `connection_replaced`, 429 `device_throttled`.
 */
export async function decideUpgrade(
  server: ServerContext,
  connectionId: string,
  query: string,
  principal: Principal,
): Promise<UpgradeDecision> {
  const record = await server.store.findConnection(principal.tenant, connectionId);
  if (record === null) return refused(problemResponse("connection_not_found"));
  const { deviceId, id } = record.environment;
  const claimedId = new URLSearchParams(query).get("deviceId") ?? deviceId;
  if (claimedId !== deviceId || !allowsDevice(principal, record.environment))
    return refused(problemResponse("connection_not_found"));
  if (record.keyId !== principal.keyId) return refused(problemResponse("device_owned_by_another_key"));
  const location = await server.router.locate(id);
  if (record.replaced || (location !== null && location.generation > record.generation)) {
    return refused(problemResponse("connection_replaced"));
  }
  const throttled = throttledResponse(server.hub, { ...principal, ...record.environment });
  if (throttled !== null) return refused(throttled);
  if (server.isClosing()) return refused(problemResponse("shutting_down"));
  return {
    kind: "accepted",
    owner: ownerOf({ tenant: record.environment.tenant, keyId: record.keyId }),
    attach(socket) {
      const listener = server.hub.attach(record, principal, socket);
      server.removals.socketOpened(connectionId);
      return listener;
    },
  };
}
