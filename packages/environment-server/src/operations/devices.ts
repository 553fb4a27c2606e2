/**
 * The administration of devices: listing all of them with their owners, releasing, removing and labelling one. The caller has decided
 * who may administer devices, and passes what depends on the rows as `permits`.
 */
import type { ChangeFeed } from "../changes/feed.ts";
import type { DeviceFilter, DeviceRow, DeviceRows } from "../ports.ts";
import type { EmitEvent } from "../log-events.ts";
import type { DeviceRouter } from "../routing/router.ts";
import type { RemovalWatch } from "./removal-watch.ts";

/** A row as its administration shows it. Times are epoch milliseconds. */
export interface AdministeredDevice extends DeviceRow {
  /** The connection of the open socket; `null` while the device is offline. */
  readonly connectionId: string | null;
}

/** Lists, releases, removes and labels devices. The promises reject when the store fails. */
export interface DeviceAdministration {
  /** Lists rows of any tenant; see {@link DeviceRows.listDevices}. */
  list(filter: DeviceFilter): Promise<readonly AdministeredDevice[]>;
  /**
   * Ends the ownership of a device: the next key that enrols it owns it. Its open socket stays. A shared device stays shared.
   * Resolves with its rows before the change; `null` when the tenant has no such device or the change is not permitted.
   */
  readonly release: DeviceRows["releaseDevice"];
  /**
   * Removes a device with all its rows and connectionIds, or only the row `environmentId`, and closes the sockets with 1008. A
   * device whose key is still valid registers again immediately, as a new device. Resolves like {@link
   * DeviceAdministration.release}, with the rows that were removed, which `permits` receives too.
   */
  readonly remove: DeviceRows["removeDevice"];
  /** Changes the labels of a device. Resolves like {@link DeviceAdministration.release}. */
  readonly label: DeviceRows["labelDevice"];
}

export function createDeviceAdministration({
  store,
  router,
  removals,
  emit,
  feed,
}: {
  readonly store: DeviceRows;
  readonly router: Pick<DeviceRouter, "presence">;
  readonly removals: Pick<RemovalWatch, "check">;
  readonly emit: EmitEvent;
  /** Makes the changes events. */
  readonly feed: Pick<ChangeFeed, "changed" | "removed">;
}): DeviceAdministration {
  return {
    async list(filter) {
      const rows = await store.listDevices(filter);
      const presences = await router.presence(rows.map(({ id }) => id));
      return rows.map((row, index) => {
        const presence = presences[index] ?? null;
        const lastSeenAt = Math.max(row.lastSeenAt, presence?.lastSeenMs ?? 0);
        return { ...row, lastSeenAt, connectionId: presence?.connectionId ?? null };
      });
    },
    async release(tenant, deviceId, permits) {
      const rows = await store.releaseDevice(tenant, deviceId, permits);
      if (rows !== null) emit({ type: "device_released", tenant, deviceId });
      return rows;
    },
    async remove(tenant, deviceId, permits, environmentId = null) {
      const rows = await store.removeDevice(tenant, deviceId, permits, environmentId);
      if (rows === null) return null;
      if (environmentId === null) emit({ type: "device_removed", tenant, deviceId });
      else emit({ type: "environment_removed", tenant, environmentId, deviceId });
      // The sockets do not wait for it.
      const finished = store.finishRemoval(rows.map(({ id }) => id));
      await removals.check();
      for (const row of rows) feed.removed(row);
      await finished;
      return rows;
    },
    async label(tenant, deviceId, patch, permits) {
      const rows = await store.labelDevice(tenant, deviceId, patch, permits);
      if (rows === null) return null;
      emit({ type: "device_labelled", tenant, deviceId });
      for (const { id: environmentId } of rows) feed.changed({ tenant, environmentId, deviceId });
      return rows;
    },
  };
}
