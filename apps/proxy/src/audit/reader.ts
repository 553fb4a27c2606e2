/**
 * Parses the records of the audit log. A `send_finished` or `control_finished` record contains no key and no device; it gets them from the
 * start record with the same id.
 */
import { parseJsonObject } from "../lib/json.ts";

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

/** Returns a reader of records. It must be given the records of each writer in their order. */
export function createAuditReader(): (text: string) => AuditFacts {
  const started = new Map<string, Pick<AuditFacts, "keyId" | "deviceId">>();
  return (text) => {
    const record = parseJsonObject(text);
    if (record === null) {
      return { time: 0, type: "unreadable", action: null, outcome: null, keyId: null, deviceId: null, members: {} };
    }
    const { writer: _writer, sequence: _sequence, time, type, act, keyId, deviceId, ...members } = record;
    const own = { keyId: stringOrNull(keyId), deviceId: stringOrNull(deviceId) };
    const id = stringOrNull(members["sendId"] ?? members["controlId"]) ?? "";
    const isEnd = type === "send_finished" || type === "control_finished";
    if (type === "send_started" || type === "control_started") started.set(id, own);
    const { keyId: key, deviceId: device } = (isEnd ? started.get(id) : undefined) ?? own;
    if (isEnd) started.delete(id);
    return {
      time: typeof time === "number" ? time : 0,
      type: String(type),
      action: stringOrNull(act),
      outcome: outcomeOf(String(type), members),
      keyId: key,
      deviceId: device,
      members,
    };
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
