/**
 * Counts the events that the log writes, so that the two agree. Ids become labels only if `metrics.labels` lists them. No other text of a
 * caller becomes a label.
 */
import type { DisconnectReason, EnvironmentServerEvent } from "@letta-environments/environment-server";
import type { Clock } from "@letta-environments/platform";
import { isIdentifier, problemDefinitions } from "@letta-environments/schema";
import { createBoundedMap } from "../lib/bounded-map.ts";
import type { ProxyEvent } from "../telemetry.ts";
import { gauges, type MetricDefinition, metrics } from "./definitions.ts";
import type { IdentityLabel } from "./settings.ts";
import { createRequestSeries, statusLabel } from "./request-series.ts";
import { type MetricTable, otherValue, type SeriesIndex } from "./table.ts";

/** Reported when requests or connections were refused under overload. */
interface OverloadedEvent {
  readonly type: "overloaded";
  readonly refusedRequests: number;
  readonly closedConnections: number;
}

/** A changed configuration is in effect, or cannot be used. */
type ReloadEvent =
  | { readonly type: "configuration_reloaded"; readonly changed: readonly string[] }
  | { readonly type: "configuration_refused" };

type ObservedEvent = ProxyEvent | EnvironmentServerEvent | ReloadEvent | OverloadedEvent;
type EventOf<Type extends ObservedEvent["type"]> = Extract<ObservedEvent, { readonly type: Type }>;
type Handlers = { readonly [Type in ObservedEvent["type"]]?: (event: EventOf<Type>) => void };

/** Sends to devices whose acknowledgement is awaited. Each ends within seconds. */
const maxAwaited = 10_000;

export interface RecorderOptions {
  readonly clock: Pick<Clock, "monotonic">;
  /** Which ids become labels. Default: none. */
  readonly labels?: ReadonlySet<IdentityLabel>;
}

/** Creates a function that counts events in a table. Events of other types are ignored. */
export function createRecorder(
  table: MetricTable,
  { clock, labels = new Set() }: RecorderOptions,
): (event: { readonly type: string }) => void {
  const seriesOf = createRequestSeries(table);
  const sentAt = createBoundedMap<number>(maxAwaited);
  const count = (definition: MetricDefinition, ...values: readonly string[]): void =>
    table.add(table.series(definition, values), 1);
  const identities = countIdentities(table, labels);
  declareKnownSeries(table);

  const cacheSeries = new Map<string, SeriesIndex>();

  /** Nearly every read has one of these outcomes, so their series are remembered. */
  function countCacheRead(outcome: NonNullable<EventOf<"request">["cache"]>): void {
    let known = cacheSeries.get(outcome);
    if (known === undefined) cacheSeries.set(outcome, (known = table.series(metrics.cacheReads, [outcome])));
    table.add(known, 1);
  }

  function request(event: EventOf<"request">): void {
    table.observe(seriesOf(event), event.durationMs / 1_000);
    if (event.cache !== undefined) countCacheRead(event.cache);
    if (event.status >= 400) count(metrics.refusals, errorCodeLabel(event.errorCode));
    if (event.limitsDegraded !== undefined) count(metrics.degradedLimits, event.limitsDegraded);
    event.shadowRefusedBy?.forEach((code) => count(metrics.shadowRefusals, errorCodeLabel(code)));
    identities.request(event);
  }

  const handlers: Handlers = {
    viewer_command({ errorCode = "sent" }) {
      count(metrics.viewerCommands, viewerOutcomes.has(errorCode) ? errorCode : errorCodeLabel(errorCode));
    },
    socket_shadowed: ({ errorCode }) => count(metrics.shadowRefusals, errorCodeLabel(errorCode)),
    stream_ended: ({ reason }) => count(metrics.streamEnds, reason),
    device_disconnected(event) {
      count(metrics.socketCloses, "device", Object.hasOwn(disconnectReasons, event.reason) ? event.reason : otherValue);
      identities.device("disconnected", event);
    },
    viewer_disconnected: ({ code }) => count(metrics.socketCloses, "viewer", closeCodeLabel(code)),
    message_sent: ({ deliveryId }) => sentAt.set(deliveryId, clock.monotonic()),
    message_acknowledged(event) {
      const { deliveryId, accepted, late } = event;
      const outcome = `${late ? "late_" : ""}${accepted ? "accepted" : "rejected"}`;
      count(metrics.deliveries, outcome);
      identities.device(outcome, event);
      const startedAt = sentAt.get(deliveryId);
      sentAt.delete(deliveryId);
      if (startedAt === undefined) return;
      table.observe(table.series(metrics.acknowledgements, []), (clock.monotonic() - startedAt) / 1_000);
    },
    message_unacknowledged(event) {
      count(metrics.deliveries, "unknown");
      identities.device("unknown", event);
    },
    ...followConfiguration(table),
    overloaded({ refusedRequests, closedConnections }) {
      table.add(table.series(metrics.overloadRefusals, ["request"]), refusedRequests);
      table.add(table.series(metrics.overloadRefusals, ["connection"]), closedConnections);
    },
  };

  return (event) => {
    // Runtimes report other types of events too, whose names differ from those above.
    const observed = event as ObservedEvent;
    if (observed.type === "request") return request(observed);
    const handler = handlers[observed.type] as ((event: ObservedEvent) => void) | undefined;
    handler?.(observed);
    if (failureEvents.has(observed.type)) count(metrics.failures, observed.type);
  };
}

/** Tracks which parts of the configuration cannot be used. */
function followConfiguration(table: MetricTable): Handlers {
  const setRefused = createGauge(table, gauges.configurationRefused);
  const setUnread = createGauge(table, gauges.unreadCredentialFiles);
  /** Tenants whose credential file cannot be read. */
  const unread = new Set<string>();
  return {
    configuration_refused: () => setRefused(1),
    configuration_reloaded({ changed }) {
      setRefused(0);
      // Every file was read again for the changed settings.
      if (changed.length > 0) unread.clear();
      setUnread(unread.size);
    },
    credential_file_failed: ({ tenant }) => setUnread(unread.add(tenant).size),
    credential_file_recovered({ tenant }) {
      unread.delete(tenant);
      setUnread(unread.size);
    },
  };
}

/** Returns a function that sets a gauge without labels, which is 0 before that. */
function createGauge(table: MetricTable, definition: MetricDefinition): (value: number) => void {
  const series = table.series(definition, []);
  let last = 0;
  return (value) => {
    table.add(series, value - last);
    last = value;
  };
}

/**
 * Creates the series whose labels are known, with the value 0. Prometheus computes the increase of a counter from two samples, so a series that
 * begins with its first event hides that event from every alert.
 */
function declareKnownSeries(table: MetricTable): void {
  const declare = (definition: MetricDefinition, values: Iterable<string>): void => {
    for (const value of values) table.series(definition, [value]);
  };
  declare(metrics.failures, failureEvents);
  declare(metrics.refusals, [...Object.keys(problemDefinitions), noErrorCode]);
  declare(metrics.deliveries, ["accepted", "rejected", "unknown", "late_accepted", "late_rejected"]);
  declare(metrics.overloadRefusals, ["request", "connection"]);
  declare(metrics.degradedLimits, ["timeout", "error", "unavailable"]);
}

type RuntimeFailure = "readiness_failed" | "otlp_failed";

/** Events that report a failure. */
const failureEvents: ReadonlySet<string> = new Set<ObservedEvent["type"] | RuntimeFailure>([
  "rate_limits_degraded",
  "cache_failed",
  "internal_error",
  "audit_failed",
  "idempotency_failed",
  "key_store_failed",
  "key_record_damaged",
  "key_unsupported",
  "pass_through_refused",
  "jwks_failed",
  "jwks_key_refused",
  "credential_file_failed",
  "upstream_credential_rejected",
  "upstream_down",
  "upstream_failed",
  "request_failed",
  "store_failed",
  "readiness_failed",
  "otlp_failed",
  "configuration_refused",
]);

/** Counts what keys, tenants and devices do, where the configuration makes their ids labels. */
function countIdentities(table: MetricTable, labels: ReadonlySet<IdentityLabel>) {
  // Where tokens are accepted, an id can be any text of a caller.
  const labelOf = (label: IdentityLabel, id: string | null): string => {
    if (id === null || !labels.has(label)) return "";
    return isIdentifier(id) ? id : otherValue;
  };
  return {
    request({ tenant, keyId, status }: EventOf<"request">): void {
      if (!labels.has("tenant") && !labels.has("key")) return;
      // A 401 says that the caller is not who it claims to be. With pass-through only the upstream knows.
      const isKnown = status !== 401;
      const ids = [labelOf("tenant", isKnown ? tenant : null), labelOf("key", isKnown ? keyId : null)];
      const values = [...ids, statusClass(status)];
      table.add(table.series(metrics.identityRequests, values), 1);
    },
    device(event: string, { tenant, deviceId }: { readonly tenant: string; readonly deviceId: string }): void {
      if (!labels.has("device")) return;
      table.add(table.series(metrics.deviceEvents, [labelOf("tenant", tenant), labelOf("device", deviceId), event]), 1);
    },
  };
}

function statusClass(status: number): string {
  const label = statusLabel(status);
  return label === otherValue ? label : `${label.slice(0, 1)}xx`;
}

/** The label of an error response without a code. */
const noErrorCode = "none";

/** A result that a later version stored may have a code that this version does not know. */
function errorCodeLabel(errorCode: string | undefined): string {
  if (errorCode === undefined) return noErrorCode;
  return Object.hasOwn(problemDefinitions, errorCode) ? errorCode : otherValue;
}

/** Outcomes of commands of viewers that are no problem codes (`docs/viewer-socket.md`). */
const viewerOutcomes: ReadonlySet<string> = new Set([
  "sent",
  "malformed_frame",
  "frame_too_large",
  "unknown_frame_type",
  "invalid_frame",
  "too_many_frames",
  "too_many_requests",
  "too_many_terminals",
  "response_too_large",
]);

const disconnectReasons: Readonly<Record<DisconnectReason, true>> = {
  closed: true,
  replaced: true,
  silent: true,
  key_ended: true,
  policy_changed: true,
  removed: true,
  limit_exceeded: true,
  shutdown: true,
};

/** The peer chooses the code (RFC 6455 section 7.4). */
function closeCodeLabel(code: number): string {
  return code >= 1_000 && code <= 1_015 ? String(code) : otherValue;
}
