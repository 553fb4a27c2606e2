/** Devices of a gateway elsewhere, by its administration over HTTP. */
import { devicesPath } from "../../../admin/endpoints.ts";
import type { ShownDevice } from "../../../admin/device-view.ts";
import { connectToAdministration, readAllPages } from "./admin-client.ts";
import type { CommandContext, DeviceCommands } from "./context.ts";

/**
 * Returns the operations on the devices of the gateway that `--url` names.
 *
 * @throws CommandError if the address or the token cannot be used
 */
export function administerRemoteDevices(context: CommandContext): DeviceCommands {
  const request = connectToAdministration(context, devicesPath, "letta-proxy devices list");
  const tenant = context.option("tenant");
  const parameters = { ...(tenant !== undefined && { tenant }) };
  const query = tenant === undefined ? "" : `?${new URLSearchParams(parameters)}`;
  const pathOf = (deviceId: string, action = ""): string => `/${encodeURIComponent(deviceId)}${action}${query}`;
  return {
    list: () => readAllPages<ShownDevice>(request, "devices", parameters),
    async show(deviceId) {
      return (await request<{ readonly devices: readonly ShownDevice[] }>("GET", pathOf(deviceId))).devices;
    },
    release: (deviceId) => request("POST", pathOf(deviceId, "/release")),
    remove: (deviceId) => request("DELETE", pathOf(deviceId)),
  };
}
