/**
 * How the sockets of devices end: closed by the device, replaced, closed for a limit, closed because the key or the device is gone, dropped
 * because they are silent or a write failed, or closed with the server. Each ends once. Devices send the pings, the server sends none: silent
 * devices are found by a sweep, whose timer runs only while devices are connected.
 */
import type { DisconnectReason } from "../log-events.ts";
import { onlineWindowMs } from "@letta-environments/schema";
import { closingTimeoutMs, sweepIntervalMs } from "../limits.ts";
import { type DeviceConnection, isOnline, momentOf } from "./connection.ts";
import { type HubState, isCurrent } from "./hub-state.ts";
import type { QueueHolder } from "./queue-ledger.ts";
import type { Violation } from "./traffic.ts";

/** The close frame of a socket: its code, and the reason in words. */
export interface CloseFrame {
  readonly code: number;
  readonly text: string;
}

/** How the server closes the socket of a device. */
export interface DeviceClose extends CloseFrame {
  readonly reason: DisconnectReason;
  /** The limit that the device exceeded, in words. */
  readonly limit?: string;
}

/** A device exits when it is closed with this text. */
export const replacedClose: DeviceClose = { reason: "replaced", code: 1000, text: "Replaced by new connection" };
/** RFC 6455 section 7.4.1: the endpoint violates a policy. The device then registers again, and receives the reason there. */
export const policyViolation = 1008;
/** RFC 6455 section 7.4.1: the device or the server is going away. */
export const goingAway = 1001;
/** IANA's registry of close codes: "Try Again Later". A device keeps its turn and its queue, and opens the same connection again. */
const tryAgainLater = 1013;
export const removedClose: DeviceClose = { reason: "removed", code: policyViolation, text: "The device was removed" };
export const keyEndedClose: DeviceClose = {
  reason: "key_ended",
  code: policyViolation,
  text: "The gateway key no longer allows this",
};
export const policyChangedClose: DeviceClose = {
  reason: "policy_changed",
  code: tryAgainLater,
  text: "The approval policy of the device changed",
};
export const shutdownClose: DeviceClose = { reason: "shutdown", code: goingAway, text: "Server is shutting down" };
/** RFC 6455 section 7.4.1: runtimes report this code for a connection that was dropped. */
export const droppedCode = 1006;

/** Removes a connection, once: its sends get their outcome, and the store learns when the device was last seen. */
export function drop(
  hub: HubState,
  connection: DeviceConnection,
  { reason, code, limit }: Omit<DeviceClose, "text">,
): void {
  if (!isCurrent(hub, connection)) return;
  const { environmentId } = connection.device;
  hub.connections.delete(environmentId);
  hub.index.remove(connection.device.tenant, environmentId);
  hub.ledgers.retainAfterDisconnect(environmentId);
  hub.watch.disconnected(environmentId);
  hub.pending.endWaits(environmentId, reason === "shutdown" ? "shutdown" : "disconnected");
  for (const follower of hub.followers) follower.disconnected?.(environmentId);
  hub.writes.ended(connection);
  const { device, frameCount: frames } = connection;
  hub.emit({ type: "device_disconnected", ...device, code, reason, frames, ...(limit !== undefined && { limit }) });
  if (hub.connections.size === 0) stopSweep(hub);
}

/** Drops a connection and closes its socket. */
export function close(hub: HubState, connection: DeviceConnection, end: DeviceClose): void {
  drop(hub, connection, end);
  connection.socket.close(end.code, end.text);
}

/** Writes a frame and returns whether it was written. A socket that fails is dropped. */
export function send(hub: HubState, connection: DeviceConnection, text: string): boolean {
  try {
    connection.socket.send(text);
    return true;
  } catch {
    connection.socket.terminate();
    drop(hub, connection, { reason: "closed", code: droppedCode });
    return false;
  }
}

/** Closes the socket of a device that exceeded a limit or a rate. A device that does not close in time is dropped. */
export function closeForViolation(
  hub: HubState,
  connection: DeviceConnection,
  limit: string,
  violation: Violation,
): void {
  if (hub.closingConnections.has(connection)) return;
  const cancel = hub.clock.setTimer(closingTimeoutMs, () => {
    hub.closingConnections.delete(connection);
    connection.socket.terminate();
  });
  hub.closingConnections.set(connection, cancel);
  recordViolation(hub, connection, violation);
  const code = violation === "limit" ? policyViolation : tryAgainLater;
  // A device drops its queues when it is closed with 1008.
  if (code === policyViolation) connection.queues?.clear();
  close(hub, connection, { reason: "limit_exceeded", code, text: limit, limit });
}

/** The holder of a connection's queues, which is closed when they are too large. */
export function holderOf(hub: HubState, connection: DeviceConnection): QueueHolder {
  const { environmentId, connectionId } = connection.device;
  return {
    environmentId,
    connectionId,
    owner: connection.identity,
    onLimitExceeded: (limit) => closeForViolation(hub, connection, limit, "limit"),
  };
}

/** Delays the next registrations and upgrades of a device, once for each socket. */
export function recordViolation(hub: HubState, connection: DeviceConnection, violation: Violation): void {
  if (!isCurrent(hub, connection)) return;
  hub.throttle.recordViolation(
    { ...connection.identity, listenerInstanceId: connection.listenerInstanceId },
    violation,
  );
}

/** Starts the timer of the sweep, unless it runs or no device is connected. */
export function startSweep(hub: HubState): void {
  if (hub.cancelSweep !== null || hub.connections.size === 0 || hub.isClosed) return;
  let delayMs = sweepIntervalMs;
  for (const { lastHeartbeat } of hub.connections.values()) {
    delayMs = Math.min(delayMs, lastHeartbeat.monotonicMs + onlineWindowMs - hub.clock.monotonic());
  }
  hub.cancelSweep = hub.clock.setTimer(Math.max(0, delayMs), () => sweep(hub));
}

function sweep(hub: HubState): void {
  hub.cancelSweep = null;
  const now = momentOf(hub.clock);
  for (const connection of [...hub.connections.values()]) {
    if (isOnline(connection, now)) continue;
    connection.socket.terminate();
    drop(hub, connection, { reason: "silent", code: droppedCode });
  }
  hub.writes.saveLastSeen([...hub.connections.values()]);
  hub.traffic.prune();
  startSweep(hub);
}

/** Stops the timer of the sweep. */
function stopSweep(hub: HubState): void {
  hub.cancelSweep?.();
  hub.cancelSweep = null;
}

/** Closes every socket with 1001. Resolves when everything is stored. */
export async function closeAll(hub: HubState): Promise<void> {
  hub.isClosed = true;
  stopSweep(hub);
  for (const connection of [...hub.connections.values()]) close(hub, connection, shutdownClose);
  for (const [connection, cancel] of hub.closingConnections) {
    cancel();
    connection.socket.terminate();
  }
  hub.closingConnections.clear();
  await hub.maintenance.stop();
  await hub.writes.settled();
  await hub.time.close();
}
