/**
 * Metrics in the JSON encoding of the OpenTelemetry protocol (OTLP 1.5, `ExportMetricsServiceRequest`). Sums are cumulative since the start
 * of the process, so a push that is lost costs only resolution.
 */
import { bucketBounds } from "./definitions.ts";
import type { MetricReading, SeriesReading } from "./table.ts";

/** Describes the process, as attributes of an OpenTelemetry resource. */
export type OtlpResource = Readonly<Record<string, string>>;

/** Attributes in the form of the protocol. */
export interface OtlpAttribute {
  readonly key: string;
  readonly value: { readonly stringValue: string } | { readonly intValue: string };
}

/** Converts names and texts to attributes. */
export function toAttributes(values: Readonly<Record<string, string | number>>): readonly OtlpAttribute[] {
  return Object.entries(values).map(([key, value]) => ({
    key,
    value: typeof value === "number" ? { intValue: String(value) } : { stringValue: value },
  }));
}

/** Epoch milliseconds as the nanoseconds of the protocol, which exceed the integers of JavaScript. */
export function toNanoseconds(timeMs: number): string {
  const wholeMs = Math.floor(timeMs);
  return String(BigInt(wholeMs) * 1_000_000n + BigInt(Math.round((timeMs - wholeMs) * 1_000_000)));
}

/** The name under which the gateway reports. */
export const otlpScope = { name: "letta-gateway" } as const;

/**
 * Returns the body of a push.
 *
 * @param startedAtMs Start of the counters, in epoch milliseconds.
 * @param nowMs Time of the reading, in epoch milliseconds.
 */
export function toOtlpMetrics(
  readings: readonly MetricReading[],
  resource: OtlpResource,
  startedAtMs: number,
  nowMs: number,
): object {
  const times = { startTimeUnixNano: toNanoseconds(startedAtMs), timeUnixNano: toNanoseconds(nowMs) };
  const metrics = readings.filter(({ series }) => series.length > 0).map((reading) => toMetric(reading, times));
  return {
    resourceMetrics: [
      { resource: { attributes: toAttributes(resource) }, scopeMetrics: [{ scope: otlpScope, metrics }] },
    ],
  };
}

/** The two times of every point. */
interface PointTimes {
  readonly startTimeUnixNano: string;
  readonly timeUnixNano: string;
}

const cumulative = 2;

function toMetric({ definition, series }: MetricReading, times: PointTimes): object {
  const { name, unit, description, kind, labels } = definition;
  const common = { name, description, ...(unit !== undefined && { unit }) };
  const attributesOf = (values: readonly string[]) =>
    toAttributes(
      Object.fromEntries(labels.map((label, index) => [label, values[index] ?? ""]).filter(([, text]) => text !== "")),
    );
  const dataPoints = series.map((reading) => ({
    attributes: attributesOf(reading.labels),
    ...times,
    ...(kind === "histogram" ? bucketsOf(reading) : { asDouble: reading.value }),
  }));
  if (kind === "gauge") return { ...common, gauge: { dataPoints } };
  if (kind === "histogram") return { ...common, histogram: { aggregationTemporality: cumulative, dataPoints } };
  return { ...common, sum: { aggregationTemporality: cumulative, isMonotonic: true, dataPoints } };
}

function bucketsOf({ value, histogram }: SeriesReading): object {
  return {
    count: String(value),
    sum: histogram?.sum ?? 0,
    bucketCounts: (histogram?.buckets ?? []).map(String),
    explicitBounds: bucketBounds,
  };
}
