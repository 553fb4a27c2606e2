/** Audit entries of device changes. A change is written to the log before it is made, and its result afterwards. */
import type { DeviceAdministration, DeviceRow } from "@letta-environments/environment-server";
import type { KeyActor } from "../keys/key-record.ts";
import type { AuditDeviceChange, DeviceChangeFacts } from "../upstream/upstream.ts";
import type { AuditLog } from "./log.ts";

/**
 * Creates an {@link AuditDeviceChange} for the changes of an actor. A change that cannot be written to the log is not made. When only its
 * result cannot be written, the change stays. `onFailure` receives both failures, with `false` if the change is not made.
 */
export function createAuditDeviceChange(
  audit: AuditLog,
  actor: KeyActor,
  onFailure: (cause: unknown, isMade?: boolean) => void,
): AuditDeviceChange {
  return async ({ labels, ...change }, run) => {
    const entry = { actor, ...change };
    await audit.append({ type: "device_change_started", ...entry }).catch((cause: unknown) => {
      onFailure(cause, false);
      throw cause;
    });
    const end = (type: "device_change_abandoned" | "device_change_unknown"): Promise<void> =>
      audit.append({ type, ...entry }).catch(onFailure);
    let rows: Awaited<ReturnType<typeof run>>;
    try {
      rows = await run();
    } catch (cause) {
      await end("device_change_abandoned");
      throw cause;
    }
    if (rows === null || rows === "unknown") {
      await end(rows === null ? "device_change_abandoned" : "device_change_unknown");
      return rows;
    }
    const connectionNames = [...new Set(rows.map(({ connectionName }) => connectionName))];
    const ownerKeyId = rows[0]?.ownerKeyId ?? null;
    const facts = { ownerKeyId, connectionNames, ...(labels !== undefined && { labels }) };
    await audit.append({ type: "device_changed", ...entry, ...facts }).catch(onFailure);
    return rows;
  };
}

/** Wraps the administration of devices, and audits its changes like {@link createAuditDeviceChange}. */
export function auditDevices(
  devices: DeviceAdministration,
  audit: AuditLog,
  actor: KeyActor,
  onFailure: (cause: unknown, isMade?: boolean) => void,
): DeviceAdministration {
  const auditChange = createAuditDeviceChange(audit, actor, onFailure);
  const change = async (requested: DeviceChangeFacts, run: () => Promise<readonly DeviceRow[] | null>) => {
    const rows = await auditChange(requested, run);
    return rows === "unknown" ? null : rows;
  };
  return {
    list: (filter) => devices.list(filter),
    release: (tenant, deviceId, permits) =>
      change({ act: "released", tenant, deviceId }, () => devices.release(tenant, deviceId, permits)),
    remove(tenant, deviceId, permits, environmentId = null) {
      const row = environmentId === null ? {} : { environmentId };
      return change({ act: "removed", tenant, deviceId, ...row }, () =>
        devices.remove(tenant, deviceId, permits, environmentId),
      );
    },
    label(tenant, deviceId, patch, permits) {
      const { displayName, tags } = patch;
      const labels = { ...(displayName !== undefined && { displayName }), ...(tags !== undefined && { tags }) };
      return change({ act: "labelled", tenant, deviceId, labels }, () =>
        devices.label(tenant, deviceId, patch, permits),
      );
    },
  };
}
