/** Which records of the audit log `audit list` and a search show, and the names by which their options select them. */
import type { AuditFacts } from "./reader.ts";

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
export const actionNames: readonly string[] = [
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
