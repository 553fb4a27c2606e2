/**
 * Which records of the audit log `audit list` shows, and what it shows of them. A `send_finished` or `control_finished` record has no key
 * and no device of its own; it takes them from the record of the start with the same id.
 */
import { parseJsonObject } from "../lib/json.ts";

/** Values of `--event`: each record type, and the groups `send`, `approval`, `key` and `device`. */
export const events: readonly string[] = [
  "send",
  "send_started",
  "send_finished",
  "send_refused",
  "control",
  "control_started",
  "control_finished",
  "control_refused",
  "approval",
  "approval_decided",
  "mode",
  "mode_switched",
  "viewer_command",
  "refusals_omitted",
  "key",
  "key_change_started",
  "key_changed",
  "key_change_abandoned",
  "key_change_unknown",
  "device",
  "device_change_started",
  "device_changed",
  "device_change_abandoned",
  "device_change_unknown",
  "records_dropped",
  "writer_opened",
  "writer_closed",
];

/** Changes of keys and devices. */
export const actions: readonly string[] = [
  "created",
  "updated",
  "rotated",
  "disabled",
  "enabled",
  "revoked",
  "signed_in",
  "signed_out",
  "released",
  "removed",
  "labelled",
];

/** How a send, a control or a change ended. */
export const outcomes: readonly string[] = ["ok", "refused", "failed", "unknown"];

/** Which records to return; an absent member restricts nothing. Times are epoch milliseconds. */
export interface AuditFilter {
  readonly since?: number | undefined;
  readonly until?: number | undefined;
  readonly keyId?: string | undefined;
  readonly deviceId?: string | undefined;
  readonly events?: readonly string[] | undefined;
  readonly actions?: readonly string[] | undefined;
  readonly outcome?: string | undefined;
}

/** A record, read. Members that it does not have, or that have another type, are `null`. */
export interface AuditFacts {
  readonly time: number;
  readonly type: string;
  readonly action: string | null;
  readonly outcome: string | null;
  readonly keyId: string | null;
  readonly deviceId: string | null;
  /** Everything else that the record says. */
  readonly members: Readonly<Record<string, unknown>>;
}

/** Returns a reader of records. It must be given the records of each writer in their order. */
export function createAuditReader(): (text: string) => AuditFacts {
  const started = new Map<string, Pick<AuditFacts, "keyId" | "deviceId">>();
  return (text) => {
    const record = parseJsonObject(text);
    if (record === null) {
      return { time: 0, type: "unreadable", action: null, outcome: null, keyId: null, deviceId: null, members: {} };
    }
    const { writer: _writer, sequence: _sequence, time, type, act, keyId, deviceId, ...members } = record;
    const own = { keyId: textOf(keyId), deviceId: textOf(deviceId) };
    const id = textOf(members["sendId"] ?? members["controlId"]) ?? "";
    const isEnd = type === "send_finished" || type === "control_finished";
    if (type === "send_started" || type === "control_started") started.set(id, own);
    const { keyId: key, deviceId: device } = (isEnd ? started.get(id) : undefined) ?? own;
    if (isEnd) started.delete(id);
    return {
      time: typeof time === "number" ? time : 0,
      type: String(type),
      action: textOf(act),
      outcome: outcomeOf(String(type), members),
      keyId: key,
      deviceId: device,
      members,
    };
  };
}

/** Whether a record matches the filter. */
export function matchesFilter(facts: AuditFacts, filter: AuditFilter): boolean {
  const { since = Number.NEGATIVE_INFINITY, until = Number.POSITIVE_INFINITY } = filter;
  return (
    facts.time >= since &&
    facts.time < until &&
    (filter.keyId === undefined || facts.keyId === filter.keyId) &&
    (filter.deviceId === undefined || facts.deviceId === filter.deviceId) &&
    (filter.events?.some((event) => facts.type === event || facts.type.startsWith(`${event}_`)) ?? true) &&
    (filter.actions?.includes(facts.action ?? "") ?? true) &&
    (filter.outcome === undefined || facts.outcome === filter.outcome)
  );
}

/** The outcome that a record reports; `null` if it reports none. */
export function outcomeOf(type: string, { status, code, outcome }: Readonly<Record<string, unknown>>): string | null {
  switch (type) {
    case "send_finished":
    case "control_finished":
      if (typeof status === "number" && status < 300) return "ok";
      return code === "delivery_unknown" || code === "control_unknown" ? "unknown" : "failed";
    case "mode_switched":
      if (outcome === "done") return "ok";
      return outcome === "rejected" ? "failed" : "unknown";
    case "approval_decided":
      return outcome === "accepted" ? "ok" : "unknown";
    case "viewer_command":
      return code === null ? "ok" : "refused";
    case "send_refused":
    case "control_refused":
    case "refusals_omitted":
    case "key_change_abandoned":
    case "device_change_abandoned":
      return "refused";
    case "device_changed":
    case "key_changed":
      return "ok";
    case "key_change_unknown":
    case "device_change_unknown":
      return "unknown";
    default:
      return null;
  }
}

/** Returns a value that is a string; `null` for any other. */
export function textOf(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}
