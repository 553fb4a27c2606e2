/** docs/log.md lists every event of the log, with its level and with members that it has. */
import { expect, test } from "vitest";
import { levelOf, type LogEvent } from "../../src/adapters/log-event.ts";
import { readDocument, tableRows } from "./document.ts";

type EventName = LogEvent["type"];
type MemberOf<Name extends EventName> = Exclude<keyof Extract<LogEvent, { readonly type: Name }>, "type">;

/** The members that the page names. A new event is a type error here until it has an entry, and a failure until it has a row. */
const events: { readonly [Name in EventName]: readonly MemberOf<Name>[] } = {
  request: [],
  stream_ended: ["requestId", "keyId", "reason", "durationMs"],
  viewer_command: ["requestId", "keyId", "command", "errorCode"],
  internal_error: ["requestId", "cause"],
  listening: ["url", "host"],
  admin_listening: ["url", "host"],
  configuration_reloaded: ["changed", "awaitingRestart"],
  configuration_refused: ["problems"],
  no_upstream_credential: [],
  shadow_mode: ["keyIds", "rules"],
  short_pepper: [],
  keys_missing: [],
  not_configured: ["problems"],
  readiness_failed: ["check", "cause"],
  readiness_recovered: ["check"],
  overloaded: ["refusedRequests", "closedConnections", "inFlight"],
  otlp_failed: ["signal", "cause"],
  otlp_recovered: ["signal"],
  stopping: ["signal"],
  stopped: [],
  log_dropped: ["lines"],
  key_store_failed: ["requestId", "reason", "cause"],
  key_record_damaged: ["keyId"],
  key_unsupported: ["keyId", "features"],
  pass_through_refused: ["requestId", "status", "keyId", "clientAddress"],
  jwks_failed: ["cause"],
  jwks_key_refused: ["kid", "reason"],
  credential_file_failed: ["tenant", "cause"],
  credential_file_recovered: ["tenant"],
  socket_shadowed: ["keyId", "deviceId", "connectionName", "errorCode"],
  rate_limits_degraded: ["reason", "cause"],
  rate_limits_recovered: ["durationMs", "decisions"],
  cache_failed: ["operation", "cause"],
  cache_recovered: ["durationMs"],
  upstream_failed: ["operation", "reason", "status", "contentType", "cause"],
  upstream_credential_rejected: ["tenant", "operation", "status"],
  upstream_down: ["tenant", "reason", "status", "contentType", "cause"],
  upstream_recovered: ["tenant", "durationMs"],
  audit_failed: ["requestId", "cause"],
  idempotency_failed: ["operation", "cause"],
  audit_records_dropped: ["records", "chains"],
  audit_end: ["writer", "sequence", "hash"],
  device_registered: ["keyId"],
  device_connected: [],
  device_disconnected: ["code", "reason", "limit", "frames"],
  device_changed: [],
  device_released: [],
  device_labelled: [],
  device_removed: [],
  environment_removed: [],
  environment_expired: [],
  frame_ignored: ["rule"],
  message_sent: ["deliveryId", "traceId"],
  message_acknowledged: ["deliveryId", "accepted", "disposition", "late"],
  message_unacknowledged: ["deliveryId", "reason"],
  approval_requested: ["toolCallId", "tool"],
  approval_decided: ["toolCallId", "tool", "behavior", "decidedBy", "outcome"],
  approval_withdrawn: ["toolCallId"],
  mode_switched: ["conversationId", "mode", "keyId", "outcome"],
  agents_api_missing: ["isMissing"],
  viewer_connected: ["keyId"],
  viewer_disconnected: ["code"],
  request_failed: ["operation", "cause"],
  store_failed: ["operation", "cause"],
};

const rows = tableRows(readDocument("docs/log.md")).filter((cells) => cells.length === 4);

/** The names in code at the start of a cell and behind its commas, without what is explained in brackets. */
function namesIn(cell: string): readonly string[] {
  return [...cell.replaceAll(/\([^)]*\)/g, "").matchAll(/`([^`]+)`/g)].map(([, name = ""]) => name);
}

test("the page about the log has exactly one row per event, with members that the event has", () => {
  const described = rows.map(([name = "", , , members = ""]) => [namesIn(name).join(), namesIn(members)] as const);
  expect(described.length).toBe(Object.keys(events).length);
  expect(Object.fromEntries(described)).toEqual(events);
});

test("the page about the log names the level of every event but requests, whose level depends on the status", () => {
  const levels = rows
    .filter(([name]) => name !== "`request`")
    .map(([name = "", level]) => [namesIn(name).join(), level]);
  // The level of these depends on their name alone.
  const expected = levels.map(([name]) => [name, levelOf({ type: name } as LogEvent)]);
  expect(levels.length).toBeGreaterThan(50);
  expect(levels).toEqual(expected);
});
