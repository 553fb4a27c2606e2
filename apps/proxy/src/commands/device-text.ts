/** How devices are printed: a table, and everything about one device. */
import {
  type Cell,
  type Column,
  formatDetails,
  formatTable,
  formatTime,
  type Paint,
  plain,
} from "@letta-environments/command-line";
import type { ShownDevice } from "../admin/devices.ts";

const columns = ["DEVICE", "NAME", "TENANT", "OWNER KEY", "LAST SEEN"];

/** The devices as a table, one line for each listener. @param width columns of the terminal; `null`: no limit */
export function formatDeviceTable(devices: readonly ShownDevice[], width: number | null, paint: Paint): string {
  const knowsPresence = devices.some(({ online }) => online !== null);
  const hasTags = devices.some((device) => tagsOf(device) !== "");
  const rows = devices.map((device) => [
    plain(device.deviceId),
    plain(nameOf(device)),
    plain(device.tenant),
    plain(ownerOf(device)),
    plain(formatTime(device.lastSeenAt)),
    ...(hasTags ? [plain(tagsOf(device))] : []),
    ...(knowsPresence ? [onlineCell(device)] : []),
  ]);
  const titles = [...columns, ...(hasTags ? ["TAGS"] : []), ...(knowsPresence ? ["ONLINE"] : [])];
  const shown = titles.map((title): Column => ({ title, shrinks: title === "NAME" || title === "TAGS" }));
  return formatTable(shown, rows, width, paint, "list");
}

/** Everything about the listeners of one device. */
export function formatDeviceDetails(devices: readonly ShownDevice[], width: number | null, paint: Paint): string {
  const blocks = devices.map((device) =>
    formatDetails(
      [
        ["Device", plain(device.deviceId)],
        ["Name", plain(device.connectionName)],
        ["Display name", plain(device.displayName ?? "")],
        ["Tags", plain(tagsOf(device))],
        ["Tenant", plain(device.tenant)],
        ["Owner key", plain(ownerOf(device))],
        ["Row", plain(device.id)],
        ["Listener", plain(device.listenerInstanceId)],
        ["First seen", plain(formatTime(device.firstSeenAt))],
        ["Last seen", plain(formatTime(device.lastSeenAt))],
        ["Online", device.online === null ? plain("") : onlineCell(device)],
        ["Connection", plain(device.connectionId ?? "")],
      ],
      width,
      paint,
    ),
  );
  return blocks.join("\n");
}

function nameOf({ connectionName, displayName }: ShownDevice): string {
  return (displayName ?? null) === null ? connectionName : `${displayName} (${connectionName})`;
}

/** A gateway of an older version shows none. */
function tagsOf({ tags }: { readonly tags?: readonly string[] }): string {
  return (tags ?? []).join(", ");
}

function ownerOf({ ownerKeyId, shared }: ShownDevice): string {
  return ownerKeyId ?? (shared ? "shared" : "none");
}

function onlineCell({ online }: ShownDevice): Cell {
  return online === true ? { text: "yes", style: "green" } : { text: "no", style: "dim" };
}
