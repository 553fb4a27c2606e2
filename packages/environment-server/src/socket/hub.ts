/**
 * The sockets of this process, at most one for each row, and what a device is asked when it connects. What a socket's frames do is in `receive.ts`, and how
 * sockets end in `close.ts`.
 */
import type { PlainSocket, PlainSocketListener } from "@letta-environments/schema";
import { createUnresolvedDeliveries } from "../delivery/unresolved.ts";
import { buildSyncFrame } from "../dialects/build.ts";
import { type Conversation, conversationKey } from "../dialects/conversation.ts";
import { maxReconciledConversations, maxUnresolvedMessages, reconciliationRetryMs } from "../limits.ts";
import type { ConnectionRecord } from "../ports.ts";
import { createAgentsApiWatch } from "./agents-api.ts";
import {
  type ConnectedDevice,
  createDeviceConnection,
  type DeviceConnection,
  type DeviceLocation,
  type LocalSockets,
  momentOf,
  ownerOf,
  presenceOf,
  type SocketOpener,
} from "./connection.ts";
import { createDeviceWrites } from "./device-writes.ts";
import {
  close,
  closeAll,
  type DeviceClose,
  holderOf,
  keyEndedClose,
  policyChangedClose,
  closeForViolation,
  removedClose,
  replacedClose,
  send,
  shutdownClose,
  startSweep,
} from "./close.ts";
import { type DeviceHubOptions, findOnline, type HubState, isCurrent } from "./hub-state.ts";
import { createMaintenance } from "./maintenance.ts";
import { createOnlineIndex } from "./online-index.ts";
import { createQueueLedgers } from "./queue-ledger.ts";
import { ignoredSocket, listen } from "./receive.ts";
import { createDeviceThrottle, type ThrottledDevice } from "./throttle.ts";
import { type ChangeUnit, createTraffic } from "./traffic.ts";

/** The open sockets and what other modules may do with them. */
export interface DeviceHub extends LocalSockets {
  /**
   * Adds an open socket. It replaces the row's present socket, which is closed with 1000 "Replaced by new connection"; a
   * device then exits. When a later registration already holds the row, the new socket is closed instead.
   * @param opener the principal that opens the socket
   * @param before where the row's socket was until now, here or elsewhere
   */
  attach(
    record: ConnectionRecord,
    opener: SocketOpener,
    socket: PlainSocket,
    before: DeviceLocation | null,
  ): PlainSocketListener;
  /** The row's socket while the device can receive messages, else `null`. */
  onlineConnectionOf(environmentId: string): DeviceConnection | null;
  /** The row's socket, online or silent; `null` without one. */
  connectionOf(environmentId: string): DeviceConnection | null;
  /** Writes a frame and returns whether it was written. A socket that fails is dropped. */
  send(connection: DeviceConnection, text: string): boolean;
  /** Counts what a frame of a device has changed. A device that changes too much is closed. */
  countChanges(connection: DeviceConnection, unit: ChangeUnit, count: number): void;
  /** Devices with an open socket, online or silent. Each is the same object as long as its socket is open. */
  connectedDevices(): readonly ConnectedDevice[];
  readonly size: number;
  /** For how long the device is refused because it exceeded limits, in milliseconds; 0 when it is not. */
  throttledMs(device: ThrottledDevice): number;
  /** Closes, with 1008, the sockets of the devices for which `isEnded` returns true. */
  closeEnded(isEnded: (device: ConnectedDevice) => boolean): void;
  /** Closes, with 1013, the sockets of the devices for which `isChanged` returns true. */
  closeChanged(isChanged: (device: ConnectedDevice) => boolean): void;
  /** Ids of the connections with an open socket. */
  connectionIds(): readonly string[];
  /** Closes, with 1008, the sockets of these connections, whose devices were removed. */
  closeRemoved(connectionIds: ReadonlySet<string>): void;
  /** Closes every socket with 1001. Resolves when everything is stored. */
  close(): Promise<void>;
}

export function createDeviceHub(options: DeviceHubOptions): DeviceHub {
  const hub = createState(options);
  const closeWhere = (isClosed: (connection: DeviceConnection) => boolean, end: DeviceClose): void => {
    for (const connection of [...hub.connections.values()]) if (isClosed(connection)) close(hub, connection, end);
  };
  hub.maintenance.start();
  return {
    attach: (record, opener, socket, before) => attach(hub, record, opener, socket, before),
    onlineConnectionOf: (environmentId) => findOnline(hub, environmentId),
    connectionOf: (environmentId) => hub.connections.get(environmentId) ?? null,
    presence(environmentIds) {
      const now = momentOf(hub.clock);
      return environmentIds.map((environmentId) => presenceOf(findOnline(hub, environmentId, now), now, hub.podId));
    },
    onlineIds: (tenant, afterId, limit) => onlineIds(hub, tenant, afterId, limit),
    locate(environmentId) {
      const connection = hub.connections.get(environmentId);
      if (connection === undefined) return null;
      const { device, generation, opening } = connection;
      return { podId: hub.podId, connectionId: device.connectionId, generation, opening };
    },
    send: (connection, text) => send(hub, connection, text),
    countChanges: ({ traffic }, unit, count) => hub.traffic.countChanges(traffic, unit, count),
    connectedDevices: () => [...hub.connections.values()].map(({ identity }) => identity),
    get size() {
      return hub.connections.size;
    },
    throttledMs: hub.throttle.remainingMs,
    closeEnded: (isEnded) => closeWhere(({ identity }) => isEnded(identity), keyEndedClose),
    closeChanged: (isChanged) => closeWhere(({ identity }) => isChanged(identity), policyChangedClose),
    connectionIds: () => [...hub.connections.values()].map(({ device }) => device.connectionId),
    closeRemoved: (ids) => closeWhere(({ device }) => ids.has(device.connectionId), removedClose),
    replace(environmentId, generation, opening = 0) {
      const connection = hub.connections.get(environmentId);
      if (connection === undefined || connection.generation > generation) return;
      if (connection.generation < generation || connection.opening < opening) close(hub, connection, replacedClose);
    },
    close: () => closeAll(hub),
  };
}

function onlineIds(hub: HubState, tenant: string, afterId: string | null, limit: number): readonly string[] {
  const found: string[] = [];
  for (let after = afterId; ;) {
    const ids = hub.index.after(tenant, after, limit);
    found.push(...ids.filter((id) => findOnline(hub, id) !== null));
    after = ids.at(-1) ?? after;
    if (found.length >= limit || ids.length < limit) return found.slice(0, limit);
  }
}

function createState(options: DeviceHubOptions): HubState {
  const { clock, emit } = options;
  const connections = new Map<string, DeviceConnection>();
  const hub: HubState = {
    ...options,
    followers: [createAgentsApiWatch(emit), ...options.followers],
    connections,
    index: createOnlineIndex(),
    ledgers: createQueueLedgers(clock),
    traffic: createTraffic(clock),
    throttle: createDeviceThrottle(clock),
    writes: createDeviceWrites(options),
    maintenance: createMaintenance({
      ...options,
      isConnected: (environmentId) => connections.has(environmentId),
      onExpired(row) {
        for (const follower of hub.followers) follower.expired?.(row);
      },
    }),
    closingConnections: new Map(),
    isClosed: false,
    cancelSweep: null,
  };
  return hub;
}

function attach(
  hub: HubState,
  record: ConnectionRecord,
  opener: SocketOpener,
  socket: PlainSocket,
  before: DeviceLocation | null,
): PlainSocketListener {
  const { environment } = record;
  const previous = hub.connections.get(environment.id);
  if (hub.isClosed || (previous !== undefined && previous.generation > record.generation)) {
    const { code, text } = hub.isClosed ? shutdownClose : replacedClose;
    socket.close(code, text);
    return ignoredSocket;
  }
  if (previous !== undefined) close(hub, previous, replacedClose);
  // Later than every known opening, even one by a server whose clock is ahead.
  const opening = Math.max(hub.time.wall(), (before?.opening ?? 0) + 1, (previous?.opening ?? 0) + 1);
  const connection = createConnection(hub, record, opener, socket, opening);
  hub.connections.set(environment.id, connection);
  hub.index.add(environment.tenant, environment.id);
  for (const follower of hub.followers) follower.connected?.(connection, opener);
  if (!record.opened) hub.writes.firstOpened(connection);
  hub.emit({ type: "device_connected", ...connection.device });
  hub.watch.connected(environment.id, record.connectionId);
  startSweep(hub);
  for (const conversation of connection.queues?.queuedConversations() ?? [])
    send(hub, connection, buildSyncFrame(hub.randomId("sync"), conversation));
  reconcile(hub, connection);
  return listen(hub, connection);
}

function createConnection(
  hub: HubState,
  record: ConnectionRecord,
  opener: SocketOpener,
  socket: PlainSocket,
  opening: number,
): DeviceConnection {
  const owner = ownerOf({ tenant: record.environment.tenant, keyId: record.keyId });
  const traffic = hub.traffic.open(owner, (limit, violation) => closeForViolation(hub, connection, limit, violation));
  const connection = createDeviceConnection({
    record,
    opener,
    opening,
    socket,
    traffic,
    openedAt: momentOf(hub.clock),
  });
  connection.queues = hub.ledgers.resume(holderOf(hub, connection));
  return connection;
}

/**
 * Reads the sends of a row with an unknown outcome, of this process or an earlier one, and asks the device, which has just connected, for the state of
 * their conversations and of those that followers name. Its reports then settle the sends that it has; see `delivery/unresolved.ts`. Reads again after
 * a failure while the device is connected, since its reports would otherwise change nothing until it reconnects.
 */
function reconcile(hub: HubState, connection: DeviceConnection): void {
  loadUnresolved(hub, connection).catch((cause: unknown) => {
    hub.emit({ type: "store_failed", operation: "findUnresolved", cause });
    hub.clock.setTimer(reconciliationRetryMs, () => {
      if (isCurrent(hub, connection)) reconcile(hub, connection);
    });
  });
}

async function loadUnresolved(hub: HubState, connection: DeviceConnection): Promise<void> {
  const { store, pending, followers, clock, time, settleMs } = hub;
  const { environmentId } = connection.device;
  const [found, ...resumed] = await Promise.all([
    store.findUnresolved(environmentId, time.now(), maxUnresolvedMessages),
    ...followers.map((follower) => follower.resume?.(environmentId) ?? []),
  ]);
  const followed = resumed.flat();
  // A send that waits here has its own acknowledgement.
  const unresolved = found.filter(({ deliveryId }) => pending.find(environmentId, deliveryId)?.isWaiting !== true);
  if (!isCurrent(hub, connection)) return;
  if (unresolved.length > 0) connection.unresolved = createUnresolvedDeliveries(unresolved);
  if (unresolved.length + followed.length > 0) clock.setTimer(settleMs, () => requestStates(hub, connection, followed));
}

function requestStates(hub: HubState, connection: DeviceConnection, followed: readonly Conversation[]): void {
  const all = [...(connection.unresolved?.conversations() ?? []), ...followed];
  const conversations = new Map(all.map((conversation) => [conversationKey(conversation), conversation]));
  for (const conversation of [...conversations.values()].slice(0, maxReconciledConversations)) {
    if (!isCurrent(hub, connection)) return;
    send(hub, connection, buildSyncFrame(hub.randomId("sync"), conversation));
  }
}
