import type { Clock, RandomId } from "@letta-environments/platform";
import { isOnline, onlineWindowMs } from "@letta-environments/schema";
import type { PendingDeliveries } from "../delivery/pending-deliveries.ts";
import type { DisconnectReason, EmitEvent } from "../events.ts";
import { sweepIntervalMs } from "../limits.ts";
import type { ConnectionRecord, DeviceStatus, EnvironmentStore } from "../ports.ts";
import { createSerialLanes } from "../serial-lanes.ts";
import { buildSyncFrame } from "./build-frame.ts";
import { createDeviceConnection, type DeviceConnection, type Presence } from "./device-connection.ts";
import type { ConnectedDevice, DeviceSocket, DeviceSocketListener } from "./device-socket.ts";
import { receiveFrame } from "./receive-frame.ts";
import { createQueueLedger, type QueueLedger } from "./queue-ledger.ts";

/** The sockets of this process: at most one a row. */
export interface DeviceHub {
  /**
   * Takes an open socket. It replaces the row's socket, which is closed with 1000 "Replaced by new connection" (a device ends
   * its process then), unless a later registration already holds the row: then it is itself replaced.
   *
   * @param credentialId the `credentialId` of the principal that opens the socket
   */
  attach(record: ConnectionRecord, credentialId: string | null, socket: DeviceSocket): DeviceSocketListener;
  /** The row's socket, when the device can be messaged now. */
  online(environmentId: string): DeviceConnection | null;
  /** The registration that holds the row's socket, online or silent; 0 when there is no socket. */
  generation(environmentId: string): number;
  presence(environmentId: string): Presence | null;
  /** Rows of a tenant that can be messaged now. */
  onlineIds(tenant: string): readonly string[];
  /** Writes a frame, and tells whether it was written. A socket that cannot take it is dropped. */
  send(connection: DeviceConnection, text: string): boolean;
  /** Devices with a socket, online or silent. */
  connectedDevices(): readonly ConnectedDevice[];
  /** Closes the sockets of the devices that `isEnded` names, with 1008. */
  closeEnded(isEnded: (device: ConnectedDevice) => boolean): void;
  /** Closes every socket with 1001; resolves when everything is stored. */
  close(): Promise<void>;
}

/** What a hub needs. */
export interface DeviceHubOptions {
  readonly clock: Clock;
  readonly randomId: RandomId;
  readonly store: EnvironmentStore;
  readonly pending: PendingDeliveries;
  readonly emit: EmitEvent;
}

const replacedClose = { code: 1000, reason: "Replaced by new connection" };
/** RFC 6455 section 7.4.1: the socket breaks a policy. A device registers again then, and learns there that it may not. */
const keyEndedClose = { code: 1008, reason: "The gateway key no longer allows this" };
const shutdownClose = { code: 1001, reason: "Server is shutting down" };
/** Neither received nor sent (RFC 6455 section 7.4.1): what a runtime reports for a dropped connection. */
const noClosingHandshake = 1006;

/** Creates a {@link DeviceHub}. */
export function createDeviceHub(options: DeviceHubOptions): DeviceHub {
  const { clock, randomId, store, pending, emit } = options;
  const connections = new Map<string, DeviceConnection>();
  /** Queues outlive a socket, by row: a device that reconnects keeps its queue and does not report it by itself. */
  const keptQueues = new Map<string, { readonly connectionId: string; readonly queues: QueueLedger }>();
  // Writes about one row reach the store in the order in which things happened.
  const writes = createSerialLanes();
  const runningWrites = new Set<Promise<void>>();
  let closed = false;
  let cancelSweep: (() => void) | null = null;
  write("", "prune", () => store.prune(clock.now()));

  function write(environmentId: string, operation: string, run: () => Promise<void>): void {
    const result = writes
      .run(environmentId, run)
      .catch((cause: unknown) => emit({ type: "store_failed", operation, cause }))
      .finally(() => void runningWrites.delete(result));
    runningWrites.add(result);
  }

  function isCurrent(connection: DeviceConnection): boolean {
    return connections.get(connection.device.environmentId) === connection;
  }

  /** Takes a connection out, once: its sends get their outcome, and the store learns when it was last seen. */
  function drop(connection: DeviceConnection, reason: DisconnectReason, code: number): void {
    if (!isCurrent(connection)) return;
    const { environmentId, connectionId } = connection.device;
    connections.delete(environmentId);
    if (connection.queues.busy().length > 0) keptQueues.set(environmentId, { connectionId, queues: connection.queues });
    pending.giveUp(environmentId, reason === "shutdown" ? "shutdown" : "disconnected");
    saveLastSeen([connection]);
    emit({ type: "device_disconnected", ...connection.device, code, reason });
    if (connections.size === 0) stopSweep();
  }

  function saveLastSeen(seen: readonly DeviceConnection[]): void {
    const changed = seen.filter((connection) => connection.lastSeenMs > connection.storedLastSeenMs);
    const [first] = changed;
    if (first === undefined) return;
    const times = changed.map((connection) => {
      connection.storedLastSeenMs = connection.lastSeenMs;
      return { environmentId: connection.device.environmentId, lastSeenAt: connection.lastSeenMs };
    });
    write(first.device.environmentId, "saveLastSeen", () => store.saveLastSeen(times));
  }

  function saveStatus(connection: DeviceConnection, status: DeviceStatus): void {
    const { environmentId } = connection.device;
    write(environmentId, "saveStatus", () => store.saveStatus(environmentId, status));
    emit({ type: "device_changed", ...connection.device });
  }

  function sweep(): void {
    cancelSweep = null;
    const nowMs = clock.now();
    for (const connection of [...connections.values()]) {
      if (nowMs - connection.lastHeartbeatMs < onlineWindowMs) continue;
      connection.socket.terminate();
      drop(connection, "silent", noClosingHandshake);
    }
    saveLastSeen([...connections.values()]);
    write("", "prune", () => store.prune(nowMs));
    startSweep();
  }

  function startSweep(): void {
    if (cancelSweep !== null || connections.size === 0 || closed) return;
    const heartbeats = [...connections.values()].map((connection) => connection.lastHeartbeatMs);
    const nextSilentMs = heartbeats.reduce((least, heartbeat) => Math.min(least, heartbeat), Infinity) + onlineWindowMs;
    const delayMs = Math.max(0, Math.min(sweepIntervalMs, nextSilentMs - clock.now()));
    cancelSweep = clock.setTimer(delayMs, sweep);
  }

  function stopSweep(): void {
    cancelSweep?.();
    cancelSweep = null;
  }

  /** The queues of the same connection's earlier socket; another connection is another process, with queues of its own. */
  function takeQueues(environmentId: string, connectionId: string): QueueLedger {
    const kept = keptQueues.get(environmentId);
    keptQueues.delete(environmentId);
    return kept?.connectionId === connectionId ? kept.queues : createQueueLedger();
  }

  function online(environmentId: string): DeviceConnection | null {
    const connection = connections.get(environmentId);
    if (connection === undefined) return null;
    const { connectionId } = connection.device;
    return isOnline({ connectionId, lastHeartbeat: connection.lastHeartbeatMs }, clock.now()) ? connection : null;
  }

  function send(connection: DeviceConnection, text: string): boolean {
    try {
      connection.socket.send(text);
      return true;
    } catch {
      connection.socket.terminate();
      drop(connection, "closed", noClosingHandshake);
      return false;
    }
  }

  return {
    attach(record, credentialId, socket) {
      const { environment, connectionId } = record;
      const previous = connections.get(environment.id);
      if (closed || (previous !== undefined && previous.generation > record.generation)) {
        const { code, reason } = closed ? shutdownClose : replacedClose;
        socket.close(code, reason);
        return { onMessage: () => undefined, onClose: () => undefined };
      }
      if (previous !== undefined) {
        drop(previous, "replaced", replacedClose.code);
        previous.socket.close(replacedClose.code, replacedClose.reason);
      }
      const nowMs = clock.now();
      const queues = takeQueues(environment.id, connectionId);
      const connection = createDeviceConnection(record, credentialId, socket, queues, nowMs);
      connections.set(environment.id, connection);
      write(environment.id, "openConnection", () => store.openConnection(connectionId, nowMs));
      emit({ type: "device_connected", ...connection.device });
      startSweep();
      for (const runtime of queues.busy()) send(connection, buildSyncFrame(randomId("sync"), runtime));
      return {
        onMessage(text) {
          receiveFrame(text, connection, {
            current: isCurrent(connection),
            nowMs: clock.now(),
            pending,
            emit,
            send,
            saveStatus,
          });
        },
        onClose: (code) => drop(connection, "closed", code),
      };
    },
    online,
    generation: (environmentId) => connections.get(environmentId)?.generation ?? 0,
    presence(environmentId) {
      const connection = online(environmentId);
      if (connection === null) return null;
      const { device, connectedAtMs, lastHeartbeatMs, lastSeenMs, status } = connection;
      return { connectionId: device.connectionId, connectedAtMs, lastHeartbeatMs, lastSeenMs, status };
    },
    onlineIds: (tenant) =>
      [...connections.values()]
        .map((connection) => connection.device)
        .filter((device) => device.tenant === tenant && online(device.environmentId) !== null)
        .map((device) => device.environmentId),
    send,
    connectedDevices: () => [...connections.values()].map(describeDevice),
    closeEnded(isEnded) {
      for (const connection of [...connections.values()]) {
        if (!isEnded(describeDevice(connection))) continue;
        drop(connection, "key_ended", keyEndedClose.code);
        connection.socket.close(keyEndedClose.code, keyEndedClose.reason);
      }
    },
    async close() {
      closed = true;
      stopSweep();
      for (const connection of [...connections.values()]) {
        drop(connection, "shutdown", shutdownClose.code);
        connection.socket.close(shutdownClose.code, shutdownClose.reason);
      }
      await Promise.all(runningWrites);
    },
  };
}

function describeDevice({ device, keyId, credentialId, connectionName }: DeviceConnection): ConnectedDevice {
  return { tenant: device.tenant, keyId, credentialId, deviceId: device.deviceId, connectionName };
}
