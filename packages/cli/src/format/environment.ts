/** How devices are printed: as a table or as details for people, as columns for programs. */
import { type Environment, isOnline } from "@letta-environments/client";
import {
  type Cell,
  type Column,
  formatAge,
  formatColumns,
  formatDetails,
  formatTable,
  formatTime,
  type Paint,
  type Style,
  plain,
} from "@letta-environments/command-line";

const columns: readonly Column[] = [
  { title: "NAME", shrinks: true },
  { title: "DEVICE", shrinks: false },
  { title: "STATUS", shrinks: false },
  { title: "MODE", shrinks: false },
  { title: "LAST SEEN", shrinks: false },
  { title: "BRANCH", shrinks: true },
  { title: "DIRECTORY", shrinks: true },
];

const tagsColumn: Column = { title: "TAGS", shrinks: true };

/** Devices as a table for people. Tags have a column if a device has any. */
export function formatEnvironmentTable(
  environments: readonly Environment[],
  nowMs: number,
  width: number | null,
  paint: Paint,
): string {
  const hasTags = environments.some(({ tags = [] }) => tags.length > 0);
  const rows = environments.map((environment): Cell[] => [
    plain(describeName(environment)),
    plain(environment.deviceId),
    describePresence(environment, nowMs),
    describeMode(environment),
    plain(formatAge(environment.lastSeenAt, nowMs)),
    plain(environment.metadata?.gitBranch),
    { text: environment.metadata?.workingDirectory ?? "", style: "dim" },
    ...(hasTags ? [plain(environment.tags?.join(", "))] : []),
  ]);
  return formatTable(hasTags ? [...columns, tagsColumn] : columns, rows, width, paint);
}

/** Devices for programs, one per line. The columns never change their position; `letta-env list --help` names them. */
export function formatEnvironmentLines(environments: readonly Environment[], nowMs: number): string {
  return environments
    .map((environment) =>
      formatColumns([
        environment.deviceId,
        environment.connectionName,
        describePresence(environment, nowMs).text,
        describeMode(environment).text,
        formatTime(environment.lastSeenAt),
        environment.connectionId ?? "",
      ]),
    )
    .join("");
}

/** One device for people: a line for each known fact. */
export function formatEnvironmentDetails(
  environment: Environment,
  nowMs: number,
  width: number | null,
  paint: Paint,
): string {
  const { metadata = {} } = environment;
  const time = (timeMs: number): Cell => plain(`${formatTime(timeMs)} (${formatAge(timeMs, nowMs)})`);
  return formatDetails(
    [
      ["Name", plain(environment.connectionName)],
      ["Display name", plain(environment.displayName)],
      ["Tags", plain(environment.tags?.join(", "))],
      ["Device", plain(environment.deviceId)],
      ["Status", describePresence(environment, nowMs)],
      ["Connection", plain(environment.connectionId)],
      ["Mode", describeMode(environment)],
      ["Last seen", time(environment.lastSeenAt)],
      ["Connected", environment.connectedAt === null ? plain(null) : time(environment.connectedAt)],
      ["First seen", time(environment.firstSeenAt)],
      ["Directory", plain(metadata.workingDirectory)],
      ["Branch", plain(metadata.gitBranch)],
      ["System", plain(metadata.os)],
      ["Letta Code", plain(metadata.lettaCodeVersion)],
      ["Node.js", plain(metadata.nodeVersion)],
      ["Owner", plain(environment.apiKeyOwner)],
      ["User", plain(environment.userId)],
    ],
    width,
    paint,
  );
}

/** One device for programs: a line for each plain member, named as in the API, then its status. */
export function formatEnvironmentMembers(environment: Environment, nowMs: number): string {
  const { metadata = {}, tags, ...members } = environment;
  const joined = tags === undefined ? [] : [["tags", tags.join(",")] as const];
  const nested = Object.entries(metadata).map(([name, value]) => [`metadata.${name}`, value] as const);
  return [
    ...Object.entries(members),
    ...joined,
    ...nested,
    ["status", describePresence(environment, nowMs).text] as const,
  ]
    .flatMap(([name, value]) => (isPlain(value) ? [formatColumns([name, String(value ?? "")])] : []))
    .join("");
}

/** `online` or `offline`, and how it looks. */
export function describePresence(environment: Environment, nowMs: number): { text: string; style: Style } {
  return isOnline(environment, nowMs) ? { text: "online", style: "green" } : { text: "offline", style: "dim" };
}

/** The name that the administrator gave to a device, next to its own name, by which commands find it. */
function describeName({ displayName, connectionName }: Environment): string {
  return displayName === undefined ? connectionName : `${displayName} (${connectionName})`;
}

/** Modes in which a device runs commands without asking for permission. */
const unattendedModes: ReadonlySet<string> = new Set(["bypassPermissions", "unrestricted"]);

/** The permission mode of a device; empty if the device has not reported one. */
function describeMode({ currentMode = "" }: Environment): Cell {
  return { text: currentMode, style: unattendedModes.has(currentMode) ? "yellow" : null };
}

function isPlain(value: unknown): boolean {
  return value === null || typeof value === "string" || typeof value === "number" || typeof value === "boolean";
}
