/** The rule that decides whether a device is online. */
import type { Environment } from "./environment.ts";

/** How long a device is online after its last heartbeat, in milliseconds. Every official client uses this limit. */
export const onlineWindowMs = 120_000;

/**
 * Returns whether a device is online, as callers can see it in a row: it has a connection, and its last heartbeat is less than
 * {@link onlineWindowMs} before `nowMs` (epoch milliseconds). A heartbeat is a ping or the opening of the socket, no other frame. The server
 * that has the socket decides by its own clock (`socket/connection.ts`), and a send needs an open socket of exactly that connection.
 */
export function isOnline(
  { connectionId, lastHeartbeat }: Pick<Environment, "connectionId" | "lastHeartbeat">,
  nowMs: number,
): boolean {
  // A missing heartbeat counts as one in 1970.
  return Boolean(connectionId) && nowMs - Number(lastHeartbeat) < onlineWindowMs;
}
