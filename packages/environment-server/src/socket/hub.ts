/**
 * The sockets of this process, at most one for each row. A device is online while its socket is open and its last ping is less
 * than 120 seconds old (the rule of the official clients). Silent sockets are dropped by a sweep, whose timer runs only while
 * devices are connected.
 */
import type { Clock, RandomId } from "@letta-environments/platform";
import type { DeviceCommands } from "../commands/device-commands.ts";
import { onlineWindowMs, type PlainSocket, type PlainSocketListener } from "@letta-environments/schema";
import type { ApprovalTracker } from "../approvals/tracker.ts";
import type { ChangeFeed } from "../changes/feed.ts";
import type { PendingDeliveries } from "../delivery/pending.ts";
import type { DisconnectReason, EmitEvent } from "../events.ts";
import type { MessageTracker } from "../messages/tracker.ts";
import { closingTimeoutMs, maxFirstFrameBytes, maxFrameBytes, maxParsedLength, sweepIntervalMs } from "../limits.ts";
import type { ConnectionRecord, EnvironmentStore } from "../ports.ts";
import {
  type ConnectedDevice,
  createDeviceConnection,
  type DeviceConnection,
  type Moment,
  momentOf,
  type Presence,
  presenceOf,
  type SocketOpener,
} from "./connection.ts";
import { type AgentsApiWatch, createAgentsApiWatch } from "./agents-api.ts";
import { createDeviceWrites, type DeviceWrites } from "./device-writes.ts";
import { buildSyncFrame } from "../dialects/build.ts";
import type { FrameWatch } from "./frame-watch.ts";
import { ignoredSocket } from "./ignored-socket.ts";
import { createMaintenance, type Maintenance } from "./maintenance.ts";
import { createOnlineIndex, type OnlineIndex } from "./online-index.ts";
import { createQueueLedgers, type QueueHolder, type QueueLedger, type QueueLedgers } from "./queue-ledger.ts";
import { type FrameEffects, receiveText } from "./receive.ts";
import { createReconciliation, type Reconciliation } from "./reconciliation.ts";
import { createDeviceThrottle, type DeviceThrottle, type ThrottledDevice } from "./throttle.ts";
import { createTraffic, type Traffic } from "./traffic.ts";

/** The open sockets and what other modules may do with them. */
export interface DeviceHub {
  /**
   * Adds an open socket. It replaces the row's present socket, which is closed with 1000 "Replaced by new connection"; a
   * device ends its process then. When a later registration holds the row already, the new socket is closed instead.
   * @param opener the principal that opens the socket
   */
  attach(record: ConnectionRecord, opener: SocketOpener, socket: PlainSocket): PlainSocketListener;
  /** The row's socket while the device can receive messages, else `null`. */
  online(environmentId: string): DeviceConnection | null;
  /** Generation of the registration that holds the row's socket, online or silent; 0 without a socket. */
  generation(environmentId: string): number;
  /** @param now both clocks now, so that a caller with many rows reads them once */
  presence(environmentId: string, now: Moment): Presence | null;
  /** Up to `limit` ids of a tenant's rows with an open socket, in ascending order, after `afterId`. */
  openIds(tenant: string, afterId: string | null, limit: number): readonly string[];
  /** Writes a frame and returns whether it was written. A socket that fails is dropped. */
  send(connection: DeviceConnection, text: string): boolean;
  /** Devices with an open socket, online or silent. Each is the same object as long as its socket is open. */
  connectedDevices(): readonly ConnectedDevice[];
  readonly size: number;
  /** For how long the device is refused because it exceeded limits, in milliseconds; 0 when it is not. */
  throttledMs(device: ThrottledDevice): number;
  /** Closes, with 1008, the sockets of the devices for which `isEnded` returns true. */
  closeEnded(isEnded: (device: ConnectedDevice) => boolean): void;
  /** Ids of the connections with an open socket. */
  connectionIds(): readonly string[];
  /** Closes, with 1008, the sockets of these connections, whose devices were removed. */
  closeRemoved(connectionIds: ReadonlySet<string>): void;
  /** Closes every socket with 1001. Resolves when everything is stored. */
  close(): Promise<void>;
}

/** Dependencies of a hub. */
export interface DeviceHubOptions {
  readonly clock: Clock;
  readonly randomId: RandomId;
  readonly store: EnvironmentStore;
  readonly pending: PendingDeliveries;
  readonly messages: MessageTracker;
  readonly commands: DeviceCommands;
  readonly approvals: ApprovalTracker;
  readonly changes: ChangeFeed;
  readonly emit: EmitEvent;
  /** Receives the frames of devices that somebody watches. */
  readonly watch: FrameWatch;
  /** The time by which stored records expire, in epoch milliseconds. */
  readonly retentionNow: () => number;
  /** Pause between the opening of a socket and the first frame to it, in milliseconds. */
  readonly settleMs: number;
}

interface Hub extends DeviceHubOptions {
  readonly connections: Map<string, DeviceConnection>;
  readonly ledgers: QueueLedgers;
  readonly traffic: Traffic;
  readonly throttle: DeviceThrottle;
  readonly writes: DeviceWrites;
  readonly maintenance: Maintenance;
  readonly reconciliation: Reconciliation;
  readonly agentsApi: AgentsApiWatch;
  readonly effects: FrameEffects;
  readonly index: OnlineIndex;
  /** Sockets that were closed for a limit, each with the function that cancels the timer which drops it. */
  readonly refused: Map<DeviceConnection, () => void>;
  isClosed: boolean;
  cancelSweep: (() => void) | null;
}

const replacedClose = { code: 1000, reason: "Replaced by new connection" };
// RFC 6455 section 7.4.1: the endpoint violates a policy. A device registers again then, and receives the reason there.
const policyViolation = 1008;
const removedReason = "The device was removed";
const keyEndedReason = "The gateway key no longer allows this";
const shutdownClose = { code: 1001, reason: "Server is shutting down" };
// RFC 6455 section 7.4.1: runtimes report this code for a connection that was dropped.
const droppedCode = 1006;

/** Creates a {@link DeviceHub}. */
export function createDeviceHub(options: DeviceHubOptions): DeviceHub {
  const connections = new Map<string, DeviceConnection>();
  const isConnected = (environmentId: string): boolean => connections.has(environmentId);
  const reconciliation = createReconciliation({
    ...options,
    isCurrent: (connection) => isCurrent({ connections }, connection),
    send: (connection, text) => void send(hub, connection, text),
  });
  const hub: Hub = {
    ...options,
    reconciliation,
    agentsApi: createAgentsApiWatch(options.emit),
    connections,
    index: createOnlineIndex(),
    maintenance: createMaintenance({ ...options, isConnected }),
    ledgers: createQueueLedgers(options.clock),
    traffic: createTraffic(options.clock),
    get effects() {
      return effects;
    },
    throttle: createDeviceThrottle(options.clock),
    writes: createDeviceWrites(options),
    refused: new Map(),
    isClosed: false,
    cancelSweep: null,
  };
  const effects = createFrameEffects(hub);
  hub.writes.limitTimes();
  hub.maintenance.start();
  return {
    attach: (record, opener, socket) => attach(hub, record, opener, socket),
    online: (environmentId) => findOnline(hub, environmentId),
    generation: (environmentId) => hub.connections.get(environmentId)?.generation ?? 0,
    presence: (environmentId, now) => presenceOf(findOnline(hub, environmentId, now), now),
    openIds: hub.index.after,
    send: (connection, text) => send(hub, connection, text),
    connectedDevices: () => [...hub.connections.values()].map(({ identity }) => identity),
    get size() {
      return hub.connections.size;
    },
    throttledMs: hub.throttle.remainingMs,
    closeEnded(isEnded) {
      for (const connection of [...hub.connections.values()]) {
        if (!isEnded(connection.identity)) continue;
        drop(hub, connection, "key_ended", policyViolation);
        connection.socket.close(policyViolation, keyEndedReason);
      }
    },
    connectionIds: () => [...hub.connections.values()].map(({ device }) => device.connectionId),
    closeRemoved(connectionIds) {
      for (const connection of [...hub.connections.values()]) {
        if (!connectionIds.has(connection.device.connectionId)) continue;
        drop(hub, connection, "removed", policyViolation);
        connection.socket.close(policyViolation, removedReason);
      }
    },
    close: () => close(hub),
  };
}

function attach(hub: Hub, record: ConnectionRecord, opener: SocketOpener, socket: PlainSocket): PlainSocketListener {
  const { environment } = record;
  const previous = hub.connections.get(environment.id);
  if (hub.isClosed || (previous !== undefined && previous.generation > record.generation)) {
    const { code, reason } = hub.isClosed ? shutdownClose : replacedClose;
    socket.close(code, reason);
    return ignoredSocket;
  }
  if (previous !== undefined) {
    drop(hub, previous, "replaced", replacedClose.code);
    previous.socket.close(replacedClose.code, replacedClose.reason);
  }
  const connection = createConnection(hub, record, opener.credentialId ?? null, socket);
  hub.connections.set(environment.id, connection);
  hub.index.add(environment.tenant, environment.id);
  hub.messages.connect(environment.id, connection.acknowledging !== "no");
  const { device, identity } = connection;
  hub.approvals.connect({ device, owner: ownerOf(identity), policy: opener.approvalPolicy ?? null });
  hub.agentsApi.connect(connection);
  if (!record.opened) hub.writes.firstOpened(connection);
  hub.emit({ type: "device_connected", ...connection.device });
  hub.watch.connected(environment.id, record.connectionId);
  startSweep(hub);
  for (const runtime of connection.queues?.busy() ?? [])
    send(hub, connection, buildSyncFrame(hub.randomId("sync"), runtime));
  hub.reconciliation.start(connection);
  return listen(hub, connection);
}

function createConnection(
  hub: Hub,
  record: ConnectionRecord,
  credentialId: string | null,
  socket: PlainSocket,
): DeviceConnection {
  const owner = ownerOf({ tenant: record.environment.tenant, keyId: record.keyId });
  const traffic = hub.traffic.open(owner, (limit) => refuse(hub, connection, limit));
  const connection = createDeviceConnection({ record, credentialId, socket, traffic, openedAt: momentOf(hub.clock) });
  connection.queues = hub.ledgers.take(holderOf(hub, connection));
  return connection;
}

function holderOf(hub: Hub, connection: DeviceConnection): QueueHolder {
  const { environmentId, connectionId } = connection.device;
  const owner = ownerOf(connection.identity);
  return { environmentId, connectionId, owner, refuse: (limit) => refuse(hub, connection, limit) };
}

/** Devices of one key share their limits. */
export function ownerOf({ tenant, keyId }: Pick<ConnectedDevice, "tenant" | "keyId">): string {
  return JSON.stringify([tenant, keyId]);
}

function listen(hub: Hub, connection: DeviceConnection): PlainSocketListener {
  const admit = (length: number): boolean => {
    if (hub.refused.has(connection) || !hub.traffic.admit(connection.traffic, length)) return false;
    connection.frameCount += 1;
    return true;
  };
  return {
    get maxFrameBytes() {
      return connection.hasReportedStatus ? maxFrameBytes : maxFirstFrameBytes;
    },
    // A character has at most three bytes, so a longer text would not be parsed.
    maxTextBytes: 3 * maxParsedLength,
    onMessage(text) {
      if (!admit(text.length)) return;
      receiveText(text, connection, hub.effects);
      if (isCurrent(hub, connection)) hub.watch.received(connection.device.environmentId, text);
    },
    onOtherFrame: admit,
    onClose(code, limit) {
      hub.refused.get(connection)?.();
      hub.refused.delete(connection);
      hub.traffic.close(connection.traffic);
      if (limit === undefined) return drop(hub, connection, "closed", code);
      punish(hub, connection);
      drop(hub, connection, "limit_exceeded", code, limit);
    },
  };
}

/** Creates the effects of frames once for all connections: closures for each of them would add up. */
function createFrameEffects(hub: Hub): FrameEffects {
  const queuesOf = (connection: DeviceConnection): QueueLedger =>
    (connection.queues ??= hub.ledgers.create(holderOf(hub, connection)));
  return {
    clock: hub.clock,
    pending: hub.pending,
    commands: hub.commands,
    follow(connection, frame) {
      const { environmentId } = connection.device;
      hub.messages.receive(environmentId, frame);
      hub.approvals.receive(environmentId, frame);
      if (frame.kind !== "update_device_status") hub.agentsApi.receive(connection, frame);
    },
    changes: hub.changes,
    emit: hub.emit,
    traffic: hub.traffic,
    queuesOf,
    isCurrent: (connection) => isCurrent(hub, connection),
    send: (connection, text) => void send(hub, connection, text),
    changeStatus: hub.writes.changeStatus,
    listMessages: hub.reconciliation.listed,
    reportQueue(connection, { runtime, messageIds }) {
      // An empty queue is the usual one.
      if (connection.queues === null && messageIds.length === 0) return;
      const limit = queuesOf(connection).report(runtime, messageIds);
      if (limit !== null) refuse(hub, connection, limit);
    },
  };
}

/** Closes the socket of a device that exceeded a limit. A device that does not close in time is dropped. */
function refuse(hub: Hub, connection: DeviceConnection, limit: string): void {
  if (hub.refused.has(connection)) return;
  const cancel = hub.clock.setTimer(closingTimeoutMs, () => {
    hub.refused.delete(connection);
    connection.socket.terminate();
  });
  hub.refused.set(connection, cancel);
  punish(hub, connection);
  // A device drops its queues when it is closed with 1008.
  connection.queues?.clear();
  drop(hub, connection, "limit_exceeded", policyViolation, limit);
  connection.socket.close(policyViolation, limit);
}

/** Delays the next registrations and upgrades of a device, once for each socket. */
function punish(hub: Hub, connection: DeviceConnection): void {
  if (!isCurrent(hub, connection)) return;
  hub.throttle.punish({ ...connection.identity, listenerInstanceId: connection.listenerInstanceId });
}

/** Removes a connection, once: its sends get their outcome, and the store learns when the device was last seen. */
function drop(hub: Hub, connection: DeviceConnection, reason: DisconnectReason, code: number, limit?: string): void {
  if (!isCurrent(hub, connection)) return;
  const { environmentId } = connection.device;
  hub.connections.delete(environmentId);
  hub.index.remove(connection.device.tenant, environmentId);
  hub.ledgers.keep(environmentId);
  hub.watch.disconnected(environmentId);
  hub.pending.giveUp(environmentId, reason === "shutdown" ? "shutdown" : "disconnected");
  hub.messages.disconnect(environmentId);
  hub.commands.giveUp(environmentId);
  hub.approvals.disconnect(environmentId);
  hub.writes.ended(connection);
  const { device, frameCount: frames } = connection;
  hub.emit({ type: "device_disconnected", ...device, code, reason, frames, ...(limit !== undefined && { limit }) });
  if (hub.connections.size === 0) stopSweep(hub);
}

function send(hub: Hub, connection: DeviceConnection, text: string): boolean {
  try {
    connection.socket.send(text);
    return true;
  } catch {
    connection.socket.terminate();
    drop(hub, connection, "closed", droppedCode);
    return false;
  }
}

function isCurrent({ connections }: Pick<Hub, "connections">, connection: DeviceConnection): boolean {
  return connections.get(connection.device.environmentId) === connection;
}

function isOnline({ lastHeartbeat }: DeviceConnection, { monotonicMs }: Pick<Moment, "monotonicMs">): boolean {
  return monotonicMs - lastHeartbeat.monotonicMs < onlineWindowMs;
}

function findOnline(
  { connections, clock }: Hub,
  environmentId: string,
  now: Pick<Moment, "monotonicMs"> = { monotonicMs: clock.monotonic() },
): DeviceConnection | null {
  const connection = connections.get(environmentId);
  return connection !== undefined && isOnline(connection, now) ? connection : null;
}

function startSweep(hub: Hub): void {
  if (hub.cancelSweep !== null || hub.connections.size === 0 || hub.isClosed) return;
  let delayMs = sweepIntervalMs;
  for (const { lastHeartbeat } of hub.connections.values()) {
    delayMs = Math.min(delayMs, lastHeartbeat.monotonicMs + onlineWindowMs - hub.clock.monotonic());
  }
  hub.cancelSweep = hub.clock.setTimer(Math.max(0, delayMs), () => sweep(hub));
}

function stopSweep(hub: Hub): void {
  hub.cancelSweep?.();
  hub.cancelSweep = null;
}

function sweep(hub: Hub): void {
  hub.cancelSweep = null;
  const now = momentOf(hub.clock);
  for (const connection of [...hub.connections.values()]) {
    if (isOnline(connection, now)) continue;
    connection.socket.terminate();
    drop(hub, connection, "silent", droppedCode);
  }
  hub.writes.saveLastSeen([...hub.connections.values()]);
  hub.maintenance.start();
  hub.traffic.prune();
  startSweep(hub);
}

async function close(hub: Hub): Promise<void> {
  hub.isClosed = true;
  stopSweep(hub);
  for (const connection of [...hub.connections.values()]) {
    drop(hub, connection, "shutdown", shutdownClose.code);
    connection.socket.close(shutdownClose.code, shutdownClose.reason);
  }
  for (const [connection, cancel] of hub.refused) {
    cancel();
    connection.socket.terminate();
  }
  hub.refused.clear();
  await hub.maintenance.stop();
  await hub.writes.settled();
}
