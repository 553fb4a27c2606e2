import type { Environment } from "./environment.ts";

/** How long after its last heartbeat a device still counts as online, in milliseconds (the rule of every official client). */
export const onlineWindowMs = 120_000;

/**
 * Tells whether a device can be messaged: it has a connection, and its last heartbeat is less than
 * {@link onlineWindowMs} before `nowMs` (epoch milliseconds).
 */
export function isOnline(
  { connectionId, lastHeartbeat }: Pick<Environment, "connectionId" | "lastHeartbeat">,
  nowMs: number,
): boolean {
  // Without a heartbeat the last one was in 1970.
  return Boolean(connectionId) && nowMs - Number(lastHeartbeat) < onlineWindowMs;
}
