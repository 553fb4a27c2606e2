/** `/metrics` and `/admin/v1/overview`: the table of metrics for machines and for people, with the authentication of the administration. */
import { jsonResponse, problemResponse } from "@letta-environments/schema";
import { type OptionalAdminEndpoint, type OptionalAdminRoute, metricsPath, NoQuerySchema } from "../admin/endpoints.ts";
import { bucketBounds, prometheusLabel, prometheusName } from "./definitions.ts";
import { type OverviewBucket, overviewBucketMs } from "./overview.ts";
import type { MetricReading, SeriesReading } from "./table.ts";

/** Operations of this folder. */
export type MetricsOperation = "readMetrics" | "retrieveOverview";

/** The endpoints as data. */
export const metricsEndpoints: Readonly<
  Record<MetricsOperation, OptionalAdminRoute & { readonly operation: MetricsOperation }>
> = {
  readMetrics: { operation: "readMetrics", method: "GET", path: metricsPath, query: NoQuerySchema, body: null },
  retrieveOverview: {
    operation: "retrieveOverview",
    method: "GET",
    path: "/admin/v1/overview",
    query: NoQuerySchema,
    body: null,
  },
};

/** The functions that the endpoints need. */
export interface MetricsEndpointPorts {
  readonly read: () => readonly MetricReading[];
  /** Reads the figures of the whole gateway since its start, at most the last hour. */
  readonly overview: () => {
    /** Epoch milliseconds. */
    readonly startedAt: number;
    /** The oldest first. The last one is incomplete. */
    readonly buckets: readonly OverviewBucket[];
  };
  /** Whether metrics have ids of tenants, keys or devices as labels. */
  readonly hasIdentities: boolean;
}

export function createMetricsEndpoints(ports: MetricsEndpointPorts): readonly OptionalAdminEndpoint[] {
  return [
    {
      endpoint: metricsEndpoints.readMetrics,
      async respond({ accept }, authority) {
        // A key administers one tenant, and the labels name all tenants.
        if (ports.hasIdentities && authority.kind !== "operator") return operatorOnly;
        const format = chooseFormat(accept);
        const body = formatMetrics(ports.read(), format);
        return { status: 200, headers: { "content-type": expositionTypes[format] }, body };
      },
    },
    {
      endpoint: metricsEndpoints.retrieveOverview,
      respond: async () => jsonResponse(200, { bucketMs: overviewBucketMs, ...ports.overview() }),
    },
  ];
}

const operatorOnly = problemResponse("insufficient_scope", {
  detail: "The metrics name tenants, keys or devices (metrics.labels), so only the operator's token may read them.",
});

/**
 * The text formats that Prometheus reads: OpenMetrics 1.0 for callers that accept it, and the older text format 0.0.4 for all others. They
 * differ in the names of counters, in the unit lines and in the last line.
 */
type ExpositionFormat = "openmetrics" | "prometheus";

export const expositionTypes: Readonly<Record<ExpositionFormat, string>> = {
  openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8",
  prometheus: "text/plain; version=0.0.4; charset=utf-8",
};

/** Chooses the format for an `Accept` header. Prometheus names OpenMetrics first; other callers get the older format. */
function chooseFormat(accept: string | null): ExpositionFormat {
  return accept !== null && /\bapplication\/openmetrics-text\b/.test(accept) ? "openmetrics" : "prometheus";
}

/** Formats metrics. Metrics without series are left out. */
export function formatMetrics(readings: readonly MetricReading[], format: ExpositionFormat): string {
  const lines = readings.filter(({ series }) => series.length > 0).flatMap((reading) => linesOf(reading, format));
  if (format === "openmetrics") lines.push("# EOF");
  return `${lines.join("\n")}\n`;
}

function linesOf({ definition, series }: MetricReading, format: ExpositionFormat): string[] {
  const name = prometheusName(definition);
  const sampleName = definition.kind === "counter" ? `${name}_total` : name;
  // OpenMetrics names the family, and the older format the sample.
  const family = format === "openmetrics" ? name : sampleName;
  return [
    `# HELP ${family} ${escapeHelp(definition.description)}`,
    `# TYPE ${family} ${definition.kind}`,
    ...(format === "openmetrics" && definition.unit !== undefined
      ? [`# UNIT ${family} ${definition.unit === "s" ? "seconds" : "bytes"}`]
      : []),
    ...series.flatMap((reading) => samplesOf(sampleName, definition.labels, reading)),
  ];
}

function samplesOf(
  name: string,
  labels: readonly string[],
  { labels: values, value, histogram }: SeriesReading,
): string[] {
  // An empty value is the same as no label.
  const pairs = labels.flatMap((label, index): [string, string][] => {
    const text = values[index] ?? "";
    return text === "" ? [] : [[prometheusLabel(label), text]];
  });
  if (histogram === undefined) return [`${name}${formatLabels(pairs)} ${value}`];
  let total = 0;
  const buckets = histogram.buckets.map((count, index) => {
    total += count;
    const bound = bucketBounds[index];
    return `${name}_bucket${formatLabels([...pairs, ["le", bound === undefined ? "+Inf" : formatBound(bound)]])} ${total}`;
  });
  return [
    ...buckets,
    `${name}_sum${formatLabels(pairs)} ${histogram.sum}`,
    `${name}_count${formatLabels(pairs)} ${value}`,
  ];
}

/** OpenMetrics writes bounds as floating-point numbers. */
function formatBound(bound: number): string {
  return Number.isInteger(bound) ? bound.toFixed(1) : String(bound);
}

function formatLabels(pairs: readonly (readonly [string, string])[]): string {
  if (pairs.length === 0) return "";
  return `{${pairs.map(([name, value]) => `${name}="${escapeValue(value)}"`).join(",")}}`;
}

function escapeValue(value: string): string {
  return value.replaceAll("\\", "\\\\").replaceAll("\n", "\\n").replaceAll('"', '\\"');
}

function escapeHelp(text: string): string {
  return text.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}
