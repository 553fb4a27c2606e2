/**
 * The text formats that Prometheus reads: OpenMetrics 1.0 for callers that accept it, and the older text format 0.0.4 for all others. They
 * differ in the names of counters, in the unit lines and in the last line.
 */
import { bucketBounds, prometheusLabel, prometheusName } from "./definitions.ts";
import type { MetricReading, SeriesReading } from "./table.ts";

export type ExpositionFormat = "openmetrics" | "prometheus";

export const expositionTypes: Readonly<Record<ExpositionFormat, string>> = {
  openmetrics: "application/openmetrics-text; version=1.0.0; charset=utf-8",
  prometheus: "text/plain; version=0.0.4; charset=utf-8",
};

/** Chooses the format for an `Accept` header. Prometheus names OpenMetrics first; other callers get the older format. */
export function chooseFormat(accept: string | null): ExpositionFormat {
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
