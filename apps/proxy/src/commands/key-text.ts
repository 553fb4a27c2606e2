/** How keys are printed: a table, everything about one key, and JSON. */
import {
  type Cell,
  type Column,
  formatDate,
  formatDetails,
  formatTable,
  formatTime,
  type Paint,
  type Style,
  plain,
} from "@letta-environments/command-line";
import type { KeyState } from "../keys/key-lifecycle.ts";
import { endOf } from "../keys/key-record.ts";
import type { ShownKey } from "../keys/key-view.ts";

// No column may be shortened except the name: every restriction and the state stay readable.
const titles = ["ID", "NAME", "TENANT", "SCOPES", "RESTRICTIONS", "CREATED", "EXPIRES", "LAST USED", "STATE"];
const columns: readonly Column[] = titles.map((title) => ({ title, shrinks: title === "NAME" }));

/** The keys as a table, or as a list where a table does not fit. @param width columns of the terminal; `null`: no limit */
export function formatKeyTable(keys: readonly ShownKey[], width: number | null, paint: Paint): string {
  const rows = keys.map((key) => [
    plain(key.id),
    plain(key.name),
    plain(key.tenant),
    plain(key.scopes.join(", ")),
    plain(restrictionsOf(key).join("; ") || "none"),
    plain(formatDate(key.createdAt)),
    plain(endText(key, formatDate, "with its link")),
    plain(key.lastUsedAt === null ? "never" : formatDate(key.lastUsedAt)),
    stateCell(key.state),
  ]);
  return formatTable(columns, rows, width, paint, "list");
}

/** Everything about one key, in words. */
export function formatKeyDetails(key: ShownKey, width: number | null, paint: Paint): string {
  const time = (timeMs: number | null): Cell => plain(timeMs === null ? "" : formatTime(timeMs));
  const [secret, older] = key.secrets;
  const olderEnd = older?.expiresAt ?? null;
  return formatDetails(
    [
      ["Id", plain(key.id)],
      ["Name", plain(key.name)],
      ["Description", plain(key.description ?? "")],
      ["Owner", plain(key.owner)],
      ["Tenant", plain(key.tenant)],
      ["State", stateCell(key.state)],
      ["Scopes", plain(key.scopes.join(", "))],
      ["Devices", plain(devicesOf(key))],
      ["Agents", plain(key.agentIds === null ? "every agent" : `only ${key.agentIds.join(", ")}`)],
      [
        "Mode",
        plain(key.maxMode === null ? "devices in any mode" : `only devices in mode ${key.maxMode} or a stricter one`),
      ],
      ["Sets mode", plain(key.setMode === null ? "" : `${key.setMode}, before each message`)],
      ["Denies tools", plain((key.deniedTools ?? []).join(", "))],
      ["Denies requests", plain(deadlineOf(key) === null ? "" : `after ${deadlineOf(key)}`)],
      ["Rate limits", plain(limitsOf(key).join(", ") || "those of the configuration")],
      [
        "Sharing",
        plain(
          key.shared
            ? "other keys can use the devices that it enrols"
            : "the devices that it enrols belong to it alone",
        ),
      ],
      ["Invitation", plain(invitationOf(key))],
      ["Created", time(key.createdAt)],
      ["Expires", plain(endText(key, formatTime, "with its sign-in link or session"))],
      ["Last used", plain(key.lastUsedAt === null ? "never" : formatTime(key.lastUsedAt))],
      ["Disabled", time(key.disabledAt)],
      ["Revoked", time(key.revokedAt)],
      ["Secret", plain(secret === undefined ? "none" : `created ${formatTime(secret.createdAt)}`)],
      ["Old secret", plain(olderEnd === null ? "" : `valid until ${formatTime(olderEnd)}`)],
    ],
    width,
    paint,
  );
}

/** When a key ends. A key without its own secret belongs to a sign-in link, whose times are not shown. */
function endText(key: ShownKey, format: (timeMs: number) => string, ofLink: string): string {
  const endsAt = endOf({ expiresAt: key.expiresAt, invite: key.invite ?? null });
  if (endsAt !== null) return format(endsAt);
  return key.secrets.length === 0 ? ofLink : "never";
}

/** The restrictions of a key, each in a few words; empty if there are none. */
function restrictionsOf(key: ShownKey): string[] {
  return [
    ...(key.deviceIds === null ? [] : [`devices ${key.deviceIds.join(", ")}`]),
    ...(key.connectionNames === null ? [] : [`device names ${key.connectionNames.join(", ")}`]),
    ...(isMissing(key.deviceTags) ? [] : [`device tags ${key.deviceTags.join(", ")}`]),
    ...(key.agentIds === null ? [] : [`agents ${key.agentIds.join(", ")}`]),
    ...(key.maxMode === null ? [] : [`mode at most ${key.maxMode}`]),
    ...((key.setMode ?? null) === null ? [] : [`sets mode ${key.setMode}`]),
    ...(isMissing(key.deniedTools) ? [] : [`denies tools ${key.deniedTools.join(", ")}`]),
    ...(deadlineOf(key) === null ? [] : [`denies requests after ${deadlineOf(key)}`]),
    ...limitsOf(key),
    ...(key.shared ? ["shared devices"] : []),
    ...(isMissing(key.invite) || key.invite.usedAt !== null ? [] : ["the first device"]),
  ];
}

/** A gateway of an older version shows no deadline. */
function deadlineOf({ approvalDeadlineMs = null }: Partial<ShownKey>): string | null {
  return approvalDeadlineMs === null ? null : `${approvalDeadlineMs / 1_000} s`;
}

function limitsOf({ rateLimits }: ShownKey): string[] {
  return Object.entries(rateLimits ?? {}).map(
    ([policy, limit]) => `${policy} ${limit === "none" ? "unlimited" : limit}`,
  );
}

function devicesOf({ deviceIds, connectionNames, deviceTags }: ShownKey): string {
  const tagged = isMissing(deviceTags) ? "" : ` with one of the tags ${deviceTags.join(", ")}`;
  if (deviceIds === null && connectionNames === null) return `every device of the tenant${tagged}`;
  const ids = deviceIds === null ? [] : [deviceIds.join(", ")];
  const names = connectionNames === null ? [] : [`those with a name like ${connectionNames.join(", ")}`];
  return `only ${[...ids, ...names].join(", and ")}${tagged === "" ? "" : `, if${tagged}`}`;
}

/** A gateway of an older version shows no such member. */
function isMissing(value: unknown): value is null | undefined {
  return value === null || value === undefined;
}

/** The invitation in words; empty for a key that is not one. */
function invitationOf({ invite }: ShownKey): string {
  if (isMissing(invite)) return "";
  const tags = invite.tags.length === 0 ? "" : `; its device gets the tags ${invite.tags.join(", ")}`;
  if (invite.usedAt === null) return `for the first device that uses it before ${formatTime(invite.expiresAt)}${tags}`;
  const { connectionNames } = invite;
  const named = isMissing(connectionNames) ? "" : `, for names like ${connectionNames.join(", ")}`;
  return `used ${formatTime(invite.usedAt)}${named}${tags}`;
}

function stateCell(state: KeyState): Cell {
  const styles: Readonly<Record<KeyState, Style>> = {
    active: "green",
    disabled: "yellow",
    unsupported: "red",
    expired: "dim",
    revoked: "dim",
  };
  return { text: state, style: styles[state] };
}
