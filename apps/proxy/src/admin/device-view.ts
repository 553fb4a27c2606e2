/** The public view of a device's row, for the administration. */
import type { AdministeredDevice } from "@letta-environments/environment-server";

/** A row of a device as its administration shows it. A device has one row for each of its listeners, usually one. Times are epoch milliseconds. */
export interface ShownDevice {
  /** Id of the row. */
  readonly id: string;
  readonly deviceId: string;
  readonly tenant: string;
  readonly connectionName: string;
  /** `null`: none. */
  readonly displayName: string | null;
  readonly tags: readonly string[];
  readonly listenerInstanceId: string;
  /** The key that owns the device; `null` when it is shared, or released. */
  readonly ownerKeyId: string | null;
  readonly shared: boolean;
  readonly firstSeenAt: number;
  readonly lastSeenAt: number;
  /** `null` when it is not known: a command sees what is stored, not the sockets of a running gateway. */
  readonly online: boolean | null;
  /** `null` while the device is offline. */
  readonly connectionId: string | null;
}

/** Returns the view of a row. It copies members one by one, so that members added to rows later are not shown by mistake. */
export function showDevice(row: AdministeredDevice, knowsPresence: boolean = true): ShownDevice {
  return {
    id: row.id,
    deviceId: row.deviceId,
    tenant: row.tenant,
    connectionName: row.connectionName,
    displayName: row.displayName,
    tags: row.tags,
    listenerInstanceId: row.listenerInstanceId,
    ownerKeyId: row.ownerKeyId,
    shared: row.shared,
    firstSeenAt: row.firstSeenAt,
    lastSeenAt: row.lastSeenAt,
    online: knowsPresence ? row.connectionId !== null : null,
    connectionId: row.connectionId,
  };
}
