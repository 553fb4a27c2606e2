/**
 * Writes about devices to the store: when a socket opened, when the device was last seen, and its latest status. Writes of one
 * row run in order. A device can change its status many times a second; only the latest one is written, once a second.
 */
import { type Clock, inBatches } from "@letta-environments/platform";
import { createRunningWork } from "../closing.ts";
import type { DeviceReference, EmitEvent } from "../log-events.ts";
import { createKeyedQueue } from "../keyed-queue.ts";
import { maintenanceBatchSize, statusWriteIntervalMs } from "../limits.ts";
import type { DeviceStatus, EnvironmentStore } from "../ports.ts";
import type { StoredTime } from "../time/stored-time.ts";
import type { DeviceConnection } from "./connection.ts";

/** Writes changes of devices to the store. A failed write is reported as a `store_failed` event. */
export interface DeviceWrites {
  /** Stores that a registration has opened its socket for the first time. When it opens again, only its last sign of life changes. */
  firstOpened(connection: DeviceConnection): void;
  /** Changes the status of a connection. Stores it and emits `device_changed`, now or when the interval is over. */
  changeStatus(connection: DeviceConnection, status: DeviceStatus): void;
  /** Stores the last sign of life of each connection that has a new one. A crash loses any that came after the last sweep (30 s). */
  saveLastSeen(connections: readonly DeviceConnection[]): void;
  /** Stores what is known about a connection that has ended. */
  ended(connection: DeviceConnection): void;
  /** Resolves when every write has finished. */
  settled(): Promise<unknown>;
}

export function createDeviceWrites({
  clock,
  store,
  emit,
  onStatusChange,
  time,
}: {
  readonly clock: Clock;
  readonly store: EnvironmentStore;
  readonly emit: EmitEvent;
  readonly onStatusChange: (device: DeviceReference) => void;
  readonly time: Pick<StoredTime, "now" | "wall">;
}): DeviceWrites {
  const queue = createKeyedQueue();
  const { track, settled } = createRunningWork();
  /** Connections whose status was written less than an interval ago. */
  const recent = new Map<DeviceConnection, { isChanged: boolean; readonly cancel: () => void }>();

  function write(environmentId: string, operation: string, run: () => Promise<void>): void {
    const failed = (cause: unknown): void => emit({ type: "store_failed", operation, cause });
    void track(queue.run(environmentId, run).catch(failed));
  }

  function saveStatus({ device, status }: DeviceConnection): void {
    write(device.environmentId, "saveStatus", () => store.saveStatus(device.environmentId, status));
    emit({ type: "device_changed", ...device });
  }

  function saveStatusAndWait(connection: DeviceConnection): void {
    saveStatus(connection);
    const cancel = clock.setTimer(statusWriteIntervalMs, () => {
      const isChanged = recent.get(connection)?.isChanged === true;
      recent.delete(connection);
      if (isChanged) saveStatusAndWait(connection);
    });
    recent.set(connection, { isChanged: false, cancel });
  }

  function saveLastSeen(connections: readonly DeviceConnection[]): void {
    const changed = connections.filter(({ lastSeen, storedLastSeenMs }) => lastSeen.wallMs > storedLastSeenMs);
    const times = changed.map((connection) => {
      connection.storedLastSeenMs = connection.lastSeen.wallMs;
      return { environmentId: connection.device.environmentId, lastSeenAt: connection.storedLastSeenMs };
    });
    const key = times.length === 1 ? (times[0]?.environmentId ?? "") : "";
    if (times.length === 0) return;
    write(key, "saveLastSeen", () =>
      inBatches(clock, times, maintenanceBatchSize, (batch) => store.saveLastSeen(batch)),
    );
  }

  return {
    firstOpened({ device }) {
      const { environmentId, connectionId } = device;
      write(environmentId, "openConnection", () => store.openConnection(connectionId, time.now(), time.wall()));
    },
    changeStatus(connection, status) {
      connection.status = status;
      onStatusChange(connection.device);
      const entry = recent.get(connection);
      if (entry === undefined) saveStatusAndWait(connection);
      else entry.isChanged = true;
    },
    saveLastSeen,
    ended(connection) {
      const entry = recent.get(connection);
      recent.delete(connection);
      entry?.cancel();
      if (entry?.isChanged === true) saveStatus(connection);
      saveLastSeen([connection]);
    },
    settled,
  };
}
