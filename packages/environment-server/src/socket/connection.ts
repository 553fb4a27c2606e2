/** The state that this server keeps for each open socket of a device. */
import type { Clock } from "@letta-environments/platform";
import { type ApprovalPolicy, onlineWindowMs, type PlainSocket, type Principal } from "@letta-environments/schema";
import { type AcknowledgementSupport, acknowledgementSupportOf, createStartDetector } from "../delivery/implied.ts";
import type { UnresolvedDeliveries } from "../delivery/unresolved.ts";
import type { DeviceReference } from "../log-events.ts";
import type { ConnectionRecord, DeviceStatus } from "../ports.ts";
import type { StatusChange } from "../dialects/frame.ts";
import type { QueueLedger } from "./queue-ledger.ts";
import type { SocketTraffic } from "./traffic.ts";

/** A device with an open socket, and the credential that opened it. */
export interface ConnectedDevice {
  readonly tenant: string;
  readonly keyId: string;
  /** `credentialId` of the principal that opened the socket; `null` when it has none. */
  readonly credentialId: string | null;
  readonly deviceId: string;
  readonly connectionName: string;
  /** `approvalPolicy` of that principal, which applies while the socket is open. Absent for the socket of a viewer. */
  readonly approvalPolicy?: ApprovalPolicy | null;
}

/** The principal that opens a socket. */
export type SocketOpener = Pick<Principal, "credentialId" | "approvalPolicy">;

/** Devices of one key share their limits. */
export function ownerOf({ tenant, keyId }: Pick<ConnectedDevice, "tenant" | "keyId">): string {
  return JSON.stringify([tenant, keyId]);
}

/** One point in time on both clocks: wall time to show, monotonic time to compare. */
export interface Moment {
  readonly wallMs: number;
  readonly monotonicMs: number;
}

/** The state of an open socket. */
export interface DeviceConnection {
  readonly device: DeviceReference;
  /** Always the same object, which identifies the socket to other modules. */
  readonly identity: ConnectedDevice;
  readonly listenerInstanceId: string;
  /** Whether the device acknowledges inputs: its registration says so, or an acknowledgement on this socket does. */
  acknowledgementSupport: AcknowledgementSupport;
  /** See {@link createStartDetector}, for a device that does not acknowledge inputs; `null` for others. */
  readonly detectStart: ReturnType<typeof createStartDetector> | null;
  readonly generation: number;
  readonly opening: number;
  readonly socket: PlainSocket;
  readonly traffic: SocketTraffic;
  readonly connectedAt: Moment;
  /** When the socket opened, then the time of each ping. Only pings count, as in devices. */
  lastHeartbeat: Moment;
  lastSeen: Moment;
  /** The last sign of life in the store, as wall time. */
  storedLastSeenMs: number;
  /** The mode that is shown. It may be older than a reconnect, so it does not permit anything: see `device-commands/conversation-modes.ts`. */
  status: DeviceStatus;
  /** Turns of the device fail because this server has no agents API. */
  isAgentsApiMissing: boolean;
  /** `null` until the device has reported or accepted a waiting message. Most devices never do. */
  queues: QueueLedger | null;
  /** Sends of this or an earlier process whose outcome the device may still report. */
  unresolved: UnresolvedDeliveries | null;
  frameCount: number;
  /** Rules that frames of the device broke, each reported once. */
  reportedRules: ReadonlySet<string>;
}

/** An open socket of a row. Of two sockets, the one with the higher generation is the present one; if equal, the one with the higher opening. */
export interface DeviceLocation {
  /** Name of the process. */
  readonly podId: string;
  readonly connectionId: string;
  /** Number of the registration within its row. */
  readonly generation: number;
  /** Orders the sockets of one registration, which a device may open again. Absent from servers of an earlier version. */
  readonly opening?: number;
}

/** The facts about an online device that API responses show. */
export interface Presence extends Pick<DeviceLocation, "podId" | "connectionId"> {
  readonly connectedAtMs: number;
  readonly lastHeartbeatMs: number;
  readonly lastSeenMs: number;
  readonly status: DeviceStatus;
  /** Turns of the device fail because this server has no agents API. */
  readonly isAgentsApiMissing: boolean;
}

/** The sockets of one process, by their rows. */
export interface LocalSockets {
  /** Returns the presence of each row, in the order of the ids; `null` for a device that is offline. */
  presence(environmentIds: readonly string[]): readonly (Presence | null)[];
  /** Returns the ids of a tenant's rows that are online, after `afterId`, in ascending order. Fewer than `limit` ids are the last ones. */
  onlineIds(tenant: string, afterId: string | null, limit: number): readonly string[];
  /** Returns where the socket of a row is, even while its device is silent; `null` without a socket. */
  locate(environmentId: string): DeviceLocation | null;
  /**
   * Closes the socket of a row, because a registration with this generation has opened one elsewhere. A socket of a later generation stays, and so does
   * one of the same generation, unless its opening is lower.
   */
  replace(environmentId: string, generation: number, opening?: number): void;
}

const noRules: ReadonlySet<string> = new Set();
const noStatus: DeviceStatus = { currentMode: null, workingDirectory: null, gitBranch: null };

/** Reads both clocks. */
export function momentOf(clock: Clock): Moment {
  return { wallMs: clock.now(), monotonicMs: clock.monotonic() };
}

/** Smaller differences between the clocks do not count as a change of the wall clock, in milliseconds. */
const minChangeMs = 1_000;

/**
 * Returns the wall time of an earlier moment. If the wall clock was changed since, returns the time that the changed clock
 * would have shown, so that callers see how long ago the moment was.
 */
function wallTimeOf({ wallMs, monotonicMs }: Moment, now: Moment): number {
  const changedByMs = Math.round(now.wallMs - wallMs - (now.monotonicMs - monotonicMs));
  return Math.abs(changedByMs) < minChangeMs ? wallMs : wallMs + changedByMs;
}

/** Whether a device is online: its socket is open, and its last ping, or the opening, is less than 120 seconds old (the rule of the official clients). */
export function isOnline({ lastHeartbeat }: DeviceConnection, { monotonicMs }: Pick<Moment, "monotonicMs">): boolean {
  return monotonicMs - lastHeartbeat.monotonicMs < onlineWindowMs;
}

/** Returns the presence of an online device; `null` without a connection. */
export function presenceOf(connection: DeviceConnection | null, now: Moment, podId: string): Presence | null {
  if (connection === null) return null;
  const { device, connectedAt, lastHeartbeat, lastSeen, status, isAgentsApiMissing } = connection;
  return {
    podId,
    connectionId: device.connectionId,
    connectedAtMs: wallTimeOf(connectedAt, now),
    lastHeartbeatMs: wallTimeOf(lastHeartbeat, now),
    lastSeenMs: wallTimeOf(lastSeen, now),
    status,
    isAgentsApiMissing,
  };
}

/** Creates the state of a socket that has just opened. A registration's first socket starts without the stored status. */
export function createDeviceConnection({
  record,
  opener: { credentialId = null, approvalPolicy = null },
  openedAt,
  ...parts
}: Pick<DeviceConnection, "socket" | "traffic" | "opening"> & {
  readonly record: ConnectionRecord;
  readonly opener: SocketOpener;
  readonly openedAt: Moment;
}): DeviceConnection {
  const { environment, connectionId, generation, opened, keyId } = record;
  const acknowledgementSupport = acknowledgementSupportOf(environment.metadata);
  const { tenant, deviceId, connectionName, currentMode, workingDirectory, gitBranch } = environment;
  return {
    ...parts,
    queues: null,
    device: { tenant, environmentId: environment.id, deviceId, connectionId },
    identity: { tenant, keyId, credentialId, deviceId, connectionName, approvalPolicy },
    listenerInstanceId: environment.listenerInstanceId,
    acknowledgementSupport,
    detectStart: acknowledgementSupport === "no" ? createStartDetector() : null,
    generation,
    connectedAt: openedAt,
    lastHeartbeat: openedAt,
    lastSeen: openedAt,
    storedLastSeenMs: environment.lastSeenAt,
    status: opened ? { currentMode, workingDirectory, gitBranch } : noStatus,
    isAgentsApiMissing: false,
    unresolved: null,
    frameCount: 0,
    reportedRules: noRules,
  };
}

/** Applies a reported change to a status. Returns the same object when nothing differs. */
export function changeStatus(status: DeviceStatus, change: StatusChange): DeviceStatus {
  const changed = { ...status, ...change };
  const same =
    changed.currentMode === status.currentMode &&
    changed.workingDirectory === status.workingDirectory &&
    changed.gitBranch === status.gitBranch;
  return same ? status : changed;
}
