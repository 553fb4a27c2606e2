import type { Environment } from "@letta-environments/client";
import { describeMode, describePresence } from "./describe-environment.ts";
import { displayWidth } from "./display-width.ts";
import { formatAge, formatTime } from "./format-age.ts";
import { formatColumns } from "./format-columns.ts";
import { printable } from "./printable.ts";
import type { Paint } from "./style.ts";

/** One environment for people: what is known, a line each. */
export function formatEnvironmentDetails(environment: Environment, nowMs: number, paint: Paint): string {
  const { metadata = {} } = environment;
  const presence = describePresence(environment, nowMs);
  const mode = describeMode(environment);
  const time = (timeMs: number): string => `${formatTime(timeMs)} (${formatAge(timeMs, nowMs)})`;
  const rows: readonly (readonly [label: string, text: string | null | undefined])[] = [
    ["Name", environment.connectionName],
    ["Device", environment.deviceId],
    ["Status", presence.text],
    ["Connection", environment.connectionId],
    ["Mode", mode.text],
    ["Last seen", time(environment.lastSeenAt)],
    ["Connected", environment.connectedAt === null ? null : time(environment.connectedAt)],
    ["First seen", time(environment.firstSeenAt)],
    ["Directory", metadata.workingDirectory],
    ["Branch", metadata.gitBranch],
    ["System", metadata.os],
    ["Letta Code", metadata.lettaCodeVersion],
    ["Node.js", metadata.nodeVersion],
    ["Owner", environment.apiKeyOwner],
    ["User", environment.userId],
  ];
  const known = rows.flatMap(([label, text]) => ((text ?? "") === "" ? [] : [[label, printable(text ?? "")] as const]));
  const width = Math.max(...known.map(([label]) => displayWidth(label)));
  const styleOf = (label: string) => (label === "Status" ? presence.style : label === "Mode" ? mode.style : null);
  return known
    .map(([label, text]) => `${paint(label.padEnd(width), "bold")}  ${paint(text, styleOf(label))}\n`)
    .join("");
}

/** One environment for programs: every plain member, a line each, named as in the API; then its status. */
export function formatEnvironmentMembers(environment: Environment, nowMs: number): string {
  const { metadata = {}, ...members } = environment;
  const nested = Object.entries(metadata).map(([name, value]) => [`metadata.${name}`, value] as const);
  return [...Object.entries(members), ...nested, ["status", describePresence(environment, nowMs).text] as const]
    .flatMap(([name, value]) => (isPlain(value) ? [formatColumns([name, String(value ?? "")])] : []))
    .join("");
}

function isPlain(value: unknown): boolean {
  return value === null || typeof value === "string" || typeof value === "number" || typeof value === "boolean";
}
