/** The commands for devices. They work on the devices of this machine's gateway or, with `--url`, on those of a gateway elsewhere. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { CommandError, formatDeviceCommand, printable } from "@letta-environments/command-line";
import type { DeviceAdministration } from "@letta-environments/environment-server";
import { createSqliteEnvironmentStore } from "@letta-environments/environment-server/sqlite";
import { systemClock } from "@letta-environments/platform/node";
import { assertGatewayData, environmentsFile } from "../../../adapters/node/data-dir.ts";
import { openStore } from "../../../adapters/node/open-store.ts";
import { showDevice } from "../../../admin/devices.ts";
import { devicesPath } from "../../../admin/endpoints.ts";
import { auditDevices } from "../../../audit/device-changes.ts";
import { formatDeviceDetails, formatDeviceTable } from "../../../commands/device-text.ts";
import { readInvitation } from "../../../commands/key-options.ts";
import { deviceVersion } from "../../../version.ts";
import { assertStoredKeys, openKeys } from "../keys.ts";
import { administerRemoteDevices, administerRemoteKeys, connectToAdministration } from "./admin-client.ts";
import { withAuditLog } from "./audited-change.ts";
import { type CommandContext, commandLineActor, type DeviceCommands, idOf, print, readGatewayUrl } from "./context.ts";
import { administerLocalKeys } from "./local-keys.ts";

/** The timeout of the request that checks what a gateway serves, in milliseconds. */
const probeMs = 5_000;

/** `devices list` */
export async function listDevicesCommand(context: CommandContext): Promise<void> {
  context.showList(await administer(context).list(), formatDeviceTable, "There are no devices.");
}

/** `devices show ID` */
export async function showDeviceCommand(context: CommandContext): Promise<void> {
  context.show(await administer(context).show(idOf(context)), formatDeviceDetails);
}

/** `devices release ID` */
export async function releaseDeviceCommand(context: CommandContext): Promise<void> {
  await administer(context).release(idOf(context));
  print(`Released ${idOf(context)}; the next key of its tenant that enrols it owns it.\n`);
}

/** `devices remove ID` */
export async function removeDeviceCommand(context: CommandContext): Promise<void> {
  await administer(context).remove(idOf(context));
  print(`Removed ${idOf(context)}\n`);
}

/** `devices invite`: prints one command on standard output. */
export async function inviteDeviceCommand(context: CommandContext): Promise<void> {
  const { request, name } = readInvitation(context.parsed.options, systemClock.now());
  const baseUrl = readGatewayUrl(context);
  const isRemote = context.parsed.options.has("url");
  if (isRemote) await assertTakesDevices(context);
  if (!isRemote && context.settings().upstream.kind !== "embedded") {
    throw new CommandError("the settings name a remote environment server, which has its own way to enrol devices");
  }
  if (!isRemote) assertStoredKeys(context.settings());
  const keys = isRemote ? administerRemoteKeys(context) : administerLocalKeys(context);
  const key = await keys.create(request);
  print(`${printable(formatDeviceCommand({ baseUrl, key, name, version: deviceVersion }))}\n`);
}

/**
 * Refuses a gateway that `--url` names and devices cannot use: it has no devices, or devices do not reach it there. Nothing is created then.
 *
 * @throws CommandError
 */
async function assertTakesDevices(context: CommandContext): Promise<void> {
  const request = connectToAdministration(context, devicesPath, "letta-proxy devices list");
  // 404 in front of a remote environment server and on Workers, which no device connects to.
  await request("GET", "?limit=1");
  if (context.parsed.options.has("gateway")) return;
  // The API responds with 401 without a key. A listener for the administration alone does not have the API.
  const baseUrl = readGatewayUrl(context);
  const { status } = await fetch(`${baseUrl}/v1/environments`, { signal: AbortSignal.timeout(probeMs) }).catch(() => ({
    status: null,
  }));
  if (status !== 404) return;
  throw new CommandError(
    `the listener at ${baseUrl} is only for the administration; pass --gateway with the address that devices connect to`,
  );
}

function administer(context: CommandContext): DeviceCommands {
  return context.parsed.options.has("url") ? administerRemoteDevices(context) : administerLocalDevices(context);
}

/**
 * Returns the operations on the devices in the data directory that the settings of a command name. A running gateway notices changes by a command
 * within two seconds, and disconnects a removed device. Every change is in the audit log before it is made.
 *
 * @throws CommandError if the settings name a remote environment server, or nothing is stored in the data directory
 */
function administerLocalDevices(context: CommandContext): DeviceCommands {
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
        async remove(...values) {
          const rows = await store.removeDevice(...values);
          if (rows !== null) await store.finishRemoval(rows.map(({ id }) => id));
          return rows;
        },
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
