/** Records of the audit log in words. */

/** A record, as the administration shows it. */
export interface AuditRecord {
  readonly writer: string;
  readonly sequence: number;
  /** Epoch milliseconds. */
  readonly time: number;
  readonly type: string;
  readonly action: string | null;
  readonly outcome: string | null;
  readonly keyId: string | null;
  readonly deviceId: string | null;
  /** Everything else that the record says. */
  readonly members: Readonly<Record<string, unknown>>;
}

const words: Readonly<Record<string, string>> = {
  send_started: "A message was sent",
  send_finished: "The device responded to a message",
  send_refused: "A message was refused",
  control_started: "A control command was sent",
  control_finished: "The device responded to a control command",
  control_refused: "A control command was refused",
  approval_decided: "A request for permission was decided",
  viewer_command: "A command over a viewer's socket",
  refusals_omitted: "More refusals were only counted",
  key_change_started: "A change of a key began",
  key_changed: "A key was changed",
  key_change_abandoned: "A change of a key was not made",
  key_change_unknown: "A change of a key may have been made",
  device_change_started: "A change of a device began",
  device_changed: "A device was changed",
  device_change_abandoned: "A change of a device was not made",
  device_change_unknown: "A change of a device may have been made",
  writer_opened: "The gateway opened the log",
  writer_closed: "The gateway closed the log",
};

const actionWords: Readonly<Record<string, string>> = {
  created: "Key created",
  updated: "Key changed",
  rotated: "Key rotated",
  disabled: "Key disabled",
  enabled: "Key enabled",
  revoked: "Key revoked",
  signed_in: "Signed in to the console",
  signed_out: "Signed out of the console",
  released: "Device released",
  removed: "Device removed",
  labelled: "Device labelled",
};

/** Describes a record in one line. */
export function auditText({ type, action, members }: AuditRecord): string {
  const base = (type.endsWith("_changed") && action !== null ? actionWords[action] : undefined) ?? words[type] ?? type;
  const details = [
    nameOf(members["actor"]),
    textOf(members["operation"]),
    textOf(members["tool"]),
    textOf(members["decision"]),
    textOf(members["command"]),
    textOf(members["agentId"]),
    textOf(members["code"]),
    numberOf(members["omitted"]),
  ].filter((text) => text !== "");
  return details.length === 0 ? base : `${base} (${details.join(", ")})`;
}

function nameOf(actor: unknown): string {
  if (typeof actor !== "object" || actor === null || !("kind" in actor)) return "";
  if (actor.kind === "key" && "keyId" in actor) return `by key ${textOf(actor.keyId)}`;
  if (actor.kind === "command-line") return "by the command line";
  if (actor.kind === "admin-listener") return "by the operator";
  return actor.kind === "start" ? "at the first start" : "";
}

function numberOf(value: unknown): string {
  return typeof value === "number" ? String(value) : "";
}

function textOf(value: unknown): string {
  return typeof value === "string" ? value : "";
}
