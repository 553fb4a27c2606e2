/**
 * Devices in the data directory. A running gateway notices changes by a command within two seconds, and disconnects a removed device.
 * Every change is in the audit log before it is made.
 */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { CommandError } from "@letta-environments/command-line";
import type { DeviceAdministration } from "@letta-environments/environment-server";
import { createSqliteEnvironmentStore } from "@letta-environments/environment-server/sqlite";
import { assertGatewayData, environmentsFile, openStore } from "../../../adapters/node/data-dir.ts";
import { showDevice } from "../../../admin/device-view.ts";
import { auditDevices } from "../../../audit/device-changes.ts";
import { openKeys } from "../keys.ts";
import { withAuditLog } from "./audited-change.ts";
import { type CommandContext, commandLineActor, type DeviceCommands } from "./context.ts";

/**
 * Returns the operations on the devices that the settings of a command name.
 *
 * @throws CommandError if the settings name a remote environment server, or nothing is stored in the data directory
 */
export function administerLocalDevices(context: CommandContext): DeviceCommands {
  const settings = context.settings();
  if (settings.upstream.kind !== "embedded") {
    throw new CommandError("the settings name a remote environment server, whose devices are not administered here");
  }
  const { dataDir } = settings;
  assertGatewayData(dataDir);
  const tenant = context.option("tenant") ?? null;

  /** Runs with the stored devices; `null` where no gateway has ever stored any, so that a command creates no file. */
  async function withDevices<Result>(run: (devices: DeviceAdministration | null) => Promise<Result>): Promise<Result> {
    if (!existsSync(join(dataDir, environmentsFile))) return run(null);
    const { store, database } = await openStore(dataDir, environmentsFile, createSqliteEnvironmentStore);
    try {
      return await run({
        list: async (filter) => (await store.listDevices(filter)).map((row) => ({ ...row, connectionId: null })),
        release: store.releaseDevice,
        remove: store.removeDevice,
        label: store.labelDevice,
      });
    } finally {
      database.close();
    }
  }

  async function change(deviceId: string, operation: "release" | "remove"): Promise<void> {
    await withDevices(async (devices) => {
      const tenantName = tenant ?? "default";
      const known = await devices?.list({ tenant: tenantName, deviceId, afterId: null, limit: 1 });
      if (devices === null || known?.length !== 1) throw unknownDevice();
      const keys = await openKeys(settings);
      try {
        await withAuditLog(settings, keys.pepper, async (audit, onFailure) => {
          const audited = auditDevices(devices, audit, commandLineActor(), onFailure);
          if ((await audited[operation](tenantName, deviceId, () => true)) === null) throw unknownDevice();
        });
      } finally {
        keys.close();
      }
    });
  }

  const find = (deviceId: string | null) =>
    withDevices(async (devices) => {
      const rows = (await devices?.list({ tenant, deviceId, afterId: null, limit: null })) ?? [];
      return rows.map((row) => showDevice(row, false));
    });

  return {
    list: () => find(null),
    async show(deviceId) {
      const rows = await find(deviceId);
      if (rows.length === 0) throw unknownDevice();
      return rows;
    },
    release: (deviceId) => change(deviceId, "release"),
    remove: (deviceId) => change(deviceId, "remove"),
  };
}

function unknownDevice(): CommandError {
  return new CommandError("there is no device with this id in the tenant; 'letta-proxy devices list' shows the ids");
}
