import type { DeviceReference } from "../events.ts";
import type { ConnectionRecord, DeviceStatus } from "../ports.ts";
import type { DeviceSocket } from "./device-socket.ts";
import type { StatusChange } from "./parse-frame.ts";
import type { QueueLedger } from "./queue-ledger.ts";

/** A device with an open socket. */
export interface DeviceConnection {
  readonly device: DeviceReference;
  /** The key that registered, and the name under which the device did. */
  readonly keyId: string;
  /** `credentialId` of the principal that opened the socket; `null` where it has none. */
  readonly credentialId: string | null;
  readonly connectionName: string;
  readonly generation: number;
  readonly socket: DeviceSocket;
  readonly connectedAtMs: number;
  /** When the socket opened, then the time of each ping; no other frame counts (the rule of the devices). */
  lastHeartbeatMs: number;
  lastSeenMs: number;
  /** The `lastSeenMs` that the store has. */
  storedLastSeenMs: number;
  status: DeviceStatus;
  /**
   * The mode that was told on this socket; `null` before. The status may still have the one from before a reconnect, which is
   * good enough to be shown, but not to be relied on.
   */
  toldMode: string | null;
  readonly queues: QueueLedger;
}

/** What an answer shows of a device that is online. */
export interface Presence {
  readonly connectionId: string;
  readonly connectedAtMs: number;
  readonly lastHeartbeatMs: number;
  readonly lastSeenMs: number;
  readonly status: DeviceStatus;
}

const noStatus: DeviceStatus = { currentMode: null, workingDirectory: null, gitBranch: null };

/** Starts the record of a socket that has just opened. The status of an earlier process of the device is not its own. */
export function createDeviceConnection(
  record: ConnectionRecord,
  credentialId: string | null,
  socket: DeviceSocket,
  queues: QueueLedger,
  nowMs: number,
): DeviceConnection {
  const { environment, connectionId, generation, opened, keyId } = record;
  return {
    device: { tenant: environment.tenant, environmentId: environment.id, deviceId: environment.deviceId, connectionId },
    keyId,
    credentialId,
    connectionName: environment.connectionName,
    generation,
    socket,
    connectedAtMs: nowMs,
    lastHeartbeatMs: nowMs,
    lastSeenMs: nowMs,
    storedLastSeenMs: environment.lastSeenAt,
    status: opened ? statusOf(environment) : noStatus,
    toldMode: null,
    queues,
  };
}

/** Applies what a frame says to a status; the same object when nothing changes. */
export function changeStatus(status: DeviceStatus, change: StatusChange): DeviceStatus {
  const changed = { ...status, ...change };
  const same =
    changed.currentMode === status.currentMode &&
    changed.workingDirectory === status.workingDirectory &&
    changed.gitBranch === status.gitBranch;
  return same ? status : changed;
}

function statusOf({ currentMode, workingDirectory, gitBranch }: DeviceStatus): DeviceStatus {
  return { currentMode, workingDirectory, gitBranch };
}
