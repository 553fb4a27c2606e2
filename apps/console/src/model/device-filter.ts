/** Names of devices for people, and the selection and order of the list, from the parameters of the address. */
import type { Environment } from "@letta-environments/client";
import { printable } from "@letta-environments/command-line/printable";
import { runsEveryTool } from "./mode.ts";

/** The parameters of the list, as the address has them. */
export type DeviceFilter = Readonly<Record<string, string>>;

/** Returns the devices that a filter selects, in its order. @param pendingOf how many requests for permission of a device wait */
export function selectDevices(
  all: readonly Environment[],
  filter: DeviceFilter,
  pendingOf: (device: Environment) => number,
): readonly Environment[] {
  const words = (filter["q"] ?? "")
    .toLowerCase()
    .split(/\s+/)
    .filter((word) => word !== "");
  const selected = all.filter((device) => {
    if (filter["status"] === "online" && device.connectionId === null) return false;
    if (filter["status"] === "offline" && device.connectionId !== null) return false;
    if (filter["status"] === "waiting" && pendingOf(device) === 0) return false;
    if (filter["tag"] !== undefined && !(device.tags ?? []).includes(filter["tag"])) return false;
    if (filter["mode"] === "unrestricted" && !runsEveryTool(device.currentMode)) return false;
    const text = searchText(device);
    return words.every((word) => text.includes(word));
  });
  return selected.toSorted(comparison(filter["sort"] ?? "name", pendingOf));
}

/** Returns the ids to draw next: those that are selected and drawn, and some that are missing. The same list if it is complete. */
export function nextRows(drawn: readonly string[], selected: readonly string[], most: number): readonly string[] {
  const known = new Set(drawn);
  let added = 0;
  const next = selected.filter((id) => known.has(id) || ++added <= most);
  return next.length === drawn.length && next.every((id, index) => id === drawn[index]) ? drawn : next;
}

/** The name as an administrator or the device wrote it. */
function writtenName({ displayName, connectionName, deviceId }: Environment): string {
  return displayName ?? (connectionName || deviceId);
}

/** Returns the name of a device with hidden characters escaped. Otherwise a look-alike could receive a permission that is meant for another device. */
export function nameOf(device: Environment): string {
  return printable(writtenName(device));
}

/** A name as it looks on a page, where any run of spaces is shown as one space. */
export function lookOf(name: string): string {
  return name.normalize("NFKC").replaceAll(/\s+/gu, " ").trim();
}

/**
 * Returns the names, in the form of {@link lookOf}, that do not identify a device without its id: names of more than one device, and names that end
 * with another device's id in parentheses, because that device may be shown that way. Rows of the same device may share a name.
 */
export function ambiguousLooks(all: readonly Environment[]): readonly string[] {
  const ids = new Set(all.map(({ deviceId }) => deviceId));
  const owners = new Map<string, string>();
  const ambiguous = new Set<string>();
  for (const device of all) {
    const look = lookOf(nameOf(device));
    const owner = owners.get(look) ?? device.deviceId;
    const named = /\(([^()]*)\)$/.exec(look)?.[1]?.trim() ?? "";
    if (owner !== device.deviceId || (named !== device.deviceId && ids.has(named))) ambiguous.add(look);
    owners.set(look, device.deviceId);
  }
  return [...ambiguous];
}

/** Every tag of the devices, in ascending order. */
export function tagsOf(all: readonly Environment[]): readonly string[] {
  return [...new Set(all.flatMap(({ tags = [] }) => tags))].toSorted();
}

function searchText(device: Environment): string {
  const { metadata = {}, tags = [] } = device;
  const { workingDirectory = "", gitBranch = "", lettaCodeVersion = "" } = metadata;
  const texts = [
    writtenName(device),
    device.connectionName,
    device.deviceId,
    workingDirectory,
    gitBranch,
    lettaCodeVersion,
  ];
  return [...texts, ...tags].join("\n").toLowerCase();
}

function comparison(
  sort: string,
  pendingOf: (device: Environment) => number,
): (left: Environment, right: Environment) => number {
  const isDescending = sort.startsWith("-");
  const column = sort.replace(/^-/, "");
  const read =
    column === "approvals" ? (device: Environment): number => -pendingOf(device) : (readers.get(column) ?? writtenName);
  return (left, right) => {
    const order =
      compare(read(left), read(right)) || compare(writtenName(left), writtenName(right)) || compare(left.id, right.id);
    return isDescending ? -order : order;
  };
}

/** The value of a device by which each column sorts. The titles are `columns` in `views/devices.tsx`, the cells are in `Row` there. */
const readers = new Map<string, (device: Environment) => string | number>([
  ["mode", ({ currentMode }) => currentMode ?? ""],
  [
    "version",
    ({ metadata }) => (metadata?.lettaCodeVersion ?? "").replace(/\d+/g, (digits) => digits.padStart(6, "0")),
  ],
  ["seen", ({ connectionId, lastSeenAt }) => (connectionId === null ? -lastSeenAt : Number.NEGATIVE_INFINITY)],
]);

/** Compares numbers in names by value: 9 before 10. Creating a collator costs more than thousands of comparisons. */
const collator = new Intl.Collator("en", { numeric: true });

function compare(left: string | number, right: string | number): number {
  if (typeof left === "string" && typeof right === "string") return collator.compare(left, right);
  return Number(left) - Number(right) || 0;
}
