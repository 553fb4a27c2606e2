/**
 * Reads the records of the audit log for people, and selects those that `audit list` and a search show. A new type of record belongs to
 * {@link outcomeOf} and {@link eventNames}.
 */
import type { JsonObject } from "../lib/json.ts";
import { keyActs } from "./entry.ts";

/** A parsed record. Members that are missing or have another type are `null`. */
export interface AuditFacts {
  readonly time: number;
  readonly type: string;
  readonly action: string | null;
  readonly outcome: string | null;
  readonly keyId: string | null;
  readonly deviceId: string | null;
  /** All other members of the record. */
  readonly members: Readonly<Record<string, unknown>>;
}

/** Returns the facts of a single record. */
export function factsOf(record: JsonObject): AuditFacts {
  const { writer: _writer, sequence: _sequence, time, type, act, keyId, deviceId, ...members } = record;
  return {
    time: typeof time === "number" ? time : 0,
    type: String(type),
    action: stringOrNull(act),
    outcome: outcomeOf(String(type), members),
    keyId: stringOrNull(keyId),
    deviceId: stringOrNull(deviceId),
    members,
  };
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

/** Returns the value if it is a string, otherwise `null`. */
export function stringOrNull(value: unknown): string | null {
  return typeof value === "string" ? value : null;
}

/** Values of `--event`: each record type, and the groups `send`, `control`, `approval`, `mode`, `key` and `device`. */
export const eventNames: readonly string[] = [
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
export const actionNames: readonly string[] = [...keyActs, "released", "removed", "labelled"];

/** How a send, a control or a change ended. */
export const outcomeNames: readonly string[] = ["ok", "refused", "failed", "unknown"];

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
