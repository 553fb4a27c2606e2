/** The commands for devices. They do the same to the devices of this machine's gateway and, with `--url`, to those of a gateway elsewhere. */
import { formatJson } from "@letta-environments/command-line";
import { formatDeviceDetails, formatDeviceTable } from "../../../commands/device-text.ts";
import { type CommandContext, type DeviceCommands, print } from "./context.ts";
import { administerLocalDevices } from "./local-devices.ts";
import { administerRemoteDevices } from "./remote-devices.ts";

/** `devices list` */
export async function listDevicesCommand(context: CommandContext): Promise<void> {
  const devices = await administer(context).list();
  print(
    context.parsed.options.has("json") ? formatJson(devices) : formatDeviceTable(devices, context.width, context.paint),
  );
}

/** `devices show ID` */
export async function showDeviceCommand(context: CommandContext): Promise<void> {
  const devices = await administer(context).show(idOf(context));
  print(
    context.parsed.options.has("json")
      ? formatJson(devices)
      : formatDeviceDetails(devices, context.width, context.paint),
  );
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

function administer(context: CommandContext): DeviceCommands {
  return context.parsed.options.has("url") ? administerRemoteDevices(context) : administerLocalDevices(context);
}

function idOf({ parsed }: CommandContext): string {
  return parsed.operands[0] ?? "";
}
