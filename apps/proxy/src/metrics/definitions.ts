/**
 * The metrics of the gateway as data. Names and labels are those of OpenTelemetry (`http.server.request.duration`, unit `s`); the names of
 * Prometheus follow from them. A label takes values from a fixed set or from the configuration. Only the ids that `metrics.labels` adds come
 * from requests and devices.
 */

/** How a metric is counted. */
export type MetricKind = "counter" | "gauge" | "histogram";

export interface MetricDefinition {
  /** The OpenTelemetry name. */
  readonly name: string;
  readonly kind: MetricKind;
  /** UCUM unit; `s` becomes a suffix in Prometheus. Absent for numbers of things. */
  readonly unit?: "s" | "By";
  readonly description: string;
  /** Attribute names, in the order of the values of a series. */
  readonly labels: readonly string[];
  /** Whether labels are ids of callers or devices. */
  readonly hasIds?: true;
}

/** Upper bounds of the buckets of every histogram, in seconds. A hit takes less than one millisecond. */
export const bucketBounds: readonly number[] = [
  0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30,
];

const counter = (name: string, description: string, ...labels: readonly string[]): MetricDefinition => ({
  name: `letta.gateway.${name}`,
  kind: "counter",
  description,
  labels,
});

const gauge = (name: string, description: string, ...labels: readonly string[]): MetricDefinition => ({
  ...counter(name, description, ...labels),
  kind: "gauge",
});

const duration = (name: string, description: string, ...labels: readonly string[]): MetricDefinition => ({
  name,
  kind: "histogram",
  unit: "s",
  description,
  labels,
});

/** Metrics that are counted when something happens. */
export type CountedMetric =
  | "requests"
  | "upstreamCalls"
  | "refusals"
  | "cacheReads"
  | "rateLimitDecisions"
  | "degradedLimits"
  | "deliveries"
  | "stepDurations"
  | "acknowledgements"
  | "socketCloses"
  | "streamEnds"
  | "viewerCommands"
  | "identityRequests"
  | "deviceEvents"
  | "shadowRefusals"
  | "failures"
  | "otlpDrops"
  | "logDrops"
  | "overloadRefusals";

/** Every {@link CountedMetric}. */
export const metrics: Readonly<Record<CountedMetric, MetricDefinition>> = {
  requests: duration(
    "http.server.request.duration",
    "Duration of requests, one observation for each line of the access log.",
    "http.request.method",
    "http.route",
    "http.response.status_code",
    "waited",
  ),
  upstreamCalls: duration(
    "http.client.request.duration",
    "Duration of calls to the remote upstream until the whole response was read.",
    "http.request.method",
    "http.response.status_code",
    "error.type",
  ),
  refusals: counter("refused_requests", "Responses with an error status, by their error code.", "error_code"),
  cacheReads: counter("cache_reads", "Reads through the cache, by its outcome.", "outcome"),
  rateLimitDecisions: counter(
    "rate_limit_decisions",
    "Decisions of rate limits, by policy. In shadow mode nothing is refused.",
    "policy",
    "decision",
  ),
  degradedLimits: counter(
    "degraded_rate_limit_checks",
    "Requests whose limits were decided without their store.",
    "reason",
  ),
  deliveries: counter(
    "deliveries",
    "Messages that were sent to devices of the embedded server, by outcome.",
    "outcome",
  ),
  stepDurations: duration(
    "letta.gateway.step.duration",
    "Duration of steps of requests, for at most one request in 5 ms and those whose spans are exported or that get Server-Timing.",
    "step",
  ),
  acknowledgements: duration(
    "letta.gateway.acknowledgement.duration",
    "Time from sending a message to a device to its acknowledgement.",
  ),
  socketCloses: counter("socket_closes", "Ended sockets of devices and viewers, by reason.", "kind", "reason"),
  streamEnds: counter("stream_ends", "Ended streams of events, by reason.", "reason"),
  viewerCommands: counter("viewer_commands", "Commands that viewers sent, by outcome.", "outcome"),
  identityRequests: {
    ...counter(
      "identity_requests",
      "Requests by the ids that `metrics.labels` names.",
      "tenant",
      "key_id",
      "status_class",
    ),
    hasIds: true,
  },
  deviceEvents: {
    ...counter("device_events", "Deliveries and disconnections by device.", "tenant", "device_id", "event"),
    hasIds: true,
  },
  shadowRefusals: counter(
    "shadow_refusals",
    "Requests and sockets that restrictions of keys in shadow mode would have refused, by the code.",
    "error_code",
  ),
  failures: counter("failures", "Failures that the log reports, by the name of the event.", "event"),
  otlpDrops: counter(
    "otlp_dropped_items",
    "Spans and points of metrics that did not reach the receiver of the OpenTelemetry protocol, by reason.",
    "signal",
    "reason",
  ),
  logDrops: counter("log_dropped_lines", "Lines of the log that were dropped because its output was not read."),
  overloadRefusals: counter("overload_refusals", "Requests and connections that were refused under overload.", "kind"),
};

/** Metrics that are read on request. */
export type GaugeMetric =
  | "devices"
  | "viewers"
  | "pendingApprovals"
  | "openCircuits"
  | "configurationRefused"
  | "unreadCredentialFiles"
  | "build"
  | "series"
  | "startTime"
  | "memory";

/** Every {@link GaugeMetric}. */
export const gauges: Readonly<Record<GaugeMetric, MetricDefinition>> = {
  devices: gauge("devices", "Rows of devices of the embedded server, by state.", "state"),
  viewers: gauge("viewers", "Open sockets of viewers."),
  pendingApprovals: gauge("pending_approvals", "Requests for permission that wait for a decision."),
  openCircuits: gauge("open_circuits", "Tenants that the remote upstream fails for."),
  configurationRefused: gauge("configuration_refused", "1 while a changed configuration cannot be used, otherwise 0."),
  unreadCredentialFiles: gauge(
    "unread_credential_files",
    "Tenants whose credential file could not be used when their last request read it again.",
  ),
  build: gauge("build_info", "The version of the gateway and of its runtime; always 1.", "version", "runtime"),
  series: gauge("metric_series", "Series in the table of metrics."),
  startTime: { ...gauge("", "Start of the process, in seconds since 1970."), name: "process.start_time", unit: "s" },
  memory: { ...gauge("", "Resident memory of the process."), name: "process.resident_memory", unit: "By" },
};

/** Returns the name of a metric in Prometheus, as the OpenTelemetry specification derives it. Counters also get `_total`. */
export function prometheusName({ name, unit }: MetricDefinition): string {
  const suffix = unit === undefined ? "" : unit === "s" ? "_seconds" : "_bytes";
  return `${name.replaceAll(".", "_")}${suffix}`;
}

/** Returns the name of a label in Prometheus. */
export function prometheusLabel(label: string): string {
  return label.replaceAll(".", "_");
}
