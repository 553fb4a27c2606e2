/** Audit entries of device changes. A change is written to the log before it is made, and its result afterwards. */
import type { DeviceAdministration, DeviceRow } from "@letta-environments/environment-server";
import type { KeyActor } from "../keys/key-record.ts";
import type { DeviceAct } from "./entry.ts";
import type { AuditLog } from "./log.ts";

/**
 * Wraps the administration of devices and audits its changes. A change that cannot be written to the log is not made. When only its
 * result cannot be written, the change stays and `onFailure` receives the failure.
 */
export function auditDevices(
  devices: DeviceAdministration,
  audit: AuditLog,
  actor: KeyActor,
  onFailure: (cause: unknown) => void,
): DeviceAdministration {
  async function change(
    act: DeviceAct,
    tenant: string,
    deviceId: string,
    run: () => Promise<readonly DeviceRow[] | null>,
  ): Promise<readonly DeviceRow[] | null> {
    const entry = { actor, tenant, deviceId, act };
    await audit.append({ type: "device_change_started", ...entry });
    const abandon = (): Promise<void> => audit.append({ type: "device_change_abandoned", ...entry }).catch(onFailure);
    let rows: readonly DeviceRow[] | null;
    try {
      rows = await run();
    } catch (cause) {
      await abandon();
      throw cause;
    }
    if (rows === null) {
      await abandon();
      return null;
    }
    const connectionNames = [...new Set(rows.map(({ connectionName }) => connectionName))];
    const ownerKeyId = rows[0]?.ownerKeyId ?? null;
    await audit.append({ type: "device_changed", ...entry, ownerKeyId, connectionNames }).catch(onFailure);
    return rows;
  }

  return {
    list: (filter) => devices.list(filter),
    release: (tenant, deviceId, permits) =>
      change("released", tenant, deviceId, () => devices.release(tenant, deviceId, permits)),
    remove: (tenant, deviceId, permits) =>
      change("removed", tenant, deviceId, () => devices.remove(tenant, deviceId, permits)),
  };
}
