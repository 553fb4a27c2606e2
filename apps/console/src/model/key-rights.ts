/** The rights of a key in words. */
import type { Scope } from "@letta-environments/schema";
import { modeText } from "./mode.ts";

/** The members of a key that the console reads, as the administration shows them. */
export interface ShownKey {
  readonly id: string;
  readonly name: string;
  readonly description: string | null;
  readonly tenant: string;
  readonly scopes: readonly string[];
  readonly deviceIds: readonly string[] | null;
  readonly connectionNames: readonly string[] | null;
  readonly deviceTags: readonly string[] | null;
  readonly agentIds: readonly string[] | null;
  readonly maxMode: string | null;
  readonly setMode: string | null;
  readonly deniedTools: readonly string[] | null;
  readonly approvalDeadlineMs: number | null;
  readonly rateLimits: Readonly<Record<string, string>> | null;
  readonly shared: boolean;
  readonly invite: { readonly expiresAt: number; readonly usedAt: number | null } | null;
  readonly createdAt: number;
  readonly expiresAt: number | null;
  readonly state: "active" | "disabled" | "expired" | "revoked" | "unsupported";
  readonly lastUsedAt: number | null;
}

/** The right that each scope gives. */
export const scopeText: Readonly<Record<Scope, string>> = {
  list: "list devices",
  read: "read devices and messages",
  send: "send messages",
  approve: "decide on approvals",
  view: "see what turns say",
  control: "stop turns and change modes",
  files: "use files of devices",
  terminal: "open terminals",
  manage: "use other commands of devices",
  connect: "connect devices",
  details: "see hidden details",
  admin: "administer keys and devices",
};

/** The scopes that the form offers, in display order. */
export const offeredScopes: readonly Scope[] = Object.keys(scopeText) as Scope[];

/** Describes what a key may do, as one sentence. */
export function describeRights(key: ShownKey): string {
  if (key.invite !== null && key.invite.usedAt === null) return `May connect one new device.${restrictions(key)}`;
  const texts: Readonly<Record<string, string>> = scopeText;
  const may = key.scopes.map((scope) => texts[scope] ?? scope);
  if (may.length === 0) return "May do nothing.";
  return `May ${joinWords(may)}${onDevices(key)}.${restrictions(key)}`;
}

function onDevices({ deviceIds, connectionNames, deviceTags }: ShownKey): string {
  const names = [...(deviceIds ?? []), ...(connectionNames ?? [])];
  const restricted = deviceIds !== null || connectionNames !== null;
  const devices = restricted ? (names.length === 0 ? ", on no device" : `, on ${joinWords(names)}`) : "";
  return deviceTags === null ? devices : `${devices}, with the tag ${deviceTags.join(" or ")}`;
}

function restrictions(key: ShownKey): string {
  const { agentIds, maxMode, setMode, deniedTools, approvalDeadlineMs, rateLimits } = key;
  const rules = [
    ...(agentIds === null ? [] : [`Only to ${joinWords(agentIds)}.`]),
    ...(maxMode === null ? [] : [`Only in mode ${modeText(maxMode)} or stricter.`]),
    ...(setMode === null ? [] : [`Switches to mode ${modeText(setMode)} first.`]),
    ...(deniedTools === null ? [] : [`Denies the tools ${joinWords(deniedTools)}.`]),
    ...(approvalDeadlineMs === null ? [] : [`Denies requests for permission after ${approvalDeadlineMs / 1_000} s.`]),
    ...(rateLimits === null ? [] : [`Rate limits: ${limitsText(rateLimits)}.`]),
    ...(key.shared ? ["Other keys may use its devices."] : []),
  ];
  return rules.map((rule) => ` ${rule}`).join("");
}

function limitsText(limits: Readonly<Record<string, string>>): string {
  return Object.entries(limits)
    .map(([name, limit]) => `${name} ${limit === "none" ? "unlimited" : limit}`)
    .join(", ");
}

function joinWords(words: readonly string[]): string {
  return words.length < 2 ? words.join("") : `${words.slice(0, -1).join(", ")} and ${words.at(-1)}`;
}
