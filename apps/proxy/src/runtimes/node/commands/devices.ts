/** The commands for devices. They work on the devices of this machine's gateway or, with `--url`, on those of a gateway elsewhere. */
import { CommandError, formatDeviceCommand } from "@letta-environments/command-line";
import { systemClock } from "@letta-environments/platform/node";
import { formatDeviceDetails, formatDeviceTable } from "../../../commands/device-text.ts";
import { readInvitation } from "../../../commands/key-options.ts";
import { devicesPath } from "../../../admin/endpoints.ts";
import { deviceVersion } from "../../../version.ts";
import { assertStoredKeys } from "../keys.ts";
import { administerRemoteDevices, administerRemoteKeys, connectToAdministration } from "./admin-client.ts";
import { type CommandContext, type DeviceCommands, idOf, print, readGatewayUrl } from "./context.ts";
import { administerLocalDevices } from "./local-devices.ts";
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
  print(`${formatDeviceCommand({ baseUrl, key: await keys.create(request), name, version: deviceVersion })}\n`);
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
    `devices do not reach the gateway at ${baseUrl}, which has the administration alone; pass --gateway with the address for devices`,
  );
}

function administer(context: CommandContext): DeviceCommands {
  return context.parsed.options.has("url") ? administerRemoteDevices(context) : administerLocalDevices(context);
}
