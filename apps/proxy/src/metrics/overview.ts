/**
 * The figures of the last hour for people, in one-minute buckets: differences between readings of the table of metrics. Nothing is counted
 * for them, so requests pay nothing. They are lost when the process ends.
 */
import { hostOperations } from "../telemetry.ts";
import { bucketBounds, metrics } from "./definitions.ts";
import type { MetricReading } from "./table.ts";

/** The duration of a bucket, in milliseconds. */
export const overviewBucketMs = 60_000;

/** The number of buckets. */
export const overviewBuckets = 60;

/** The figures of one bucket. Durations are in milliseconds; `null` without requests. */
export interface OverviewBucket {
  /** Start, in epoch milliseconds. */
  readonly startsAt: number;
  readonly requests: number;
  /** 4xx responses. */
  readonly refused: number;
  /** 5xx responses. */
  readonly failed: number;
  /** Refused by a rate limit: 429. */
  readonly rateLimited: number;
  readonly cacheReads: number;
  readonly cacheHits: number;
  readonly p50Ms: number | null;
  readonly p95Ms: number | null;
  readonly p99Ms: number | null;
  /** Devices that were connected at the end of the bucket; `null` where the upstream is remote. */
  readonly devicesOnline: number | null;
}

const hostPaths: ReadonlySet<string> = new Set(Object.values(hostOperations));

/** The totals at one moment. */
export interface OverviewSample {
  /** Epoch milliseconds. */
  readonly at: number;
  /** Requests by the first digit of their status. */
  readonly byClass: ReadonlyMap<string, number>;
  readonly rateLimited: number;
  readonly cacheReads: number;
  readonly cacheHits: number;
  /** Requests in each bucket of {@link bucketBounds}, without those that waited for the end of a turn. */
  readonly durations: readonly number[];
  readonly devicesOnline: number | null;
}

/** Reads the totals from the table. */
export function sampleOverview(
  readings: readonly MetricReading[],
  at: number,
  devicesOnline: number | null,
): OverviewSample {
  const byClass = new Map<string, number>();
  const durations = Array.from({ length: bucketBounds.length + 1 }, () => 0);
  let rateLimited = 0;
  for (const { labels, value, histogram } of seriesOf(readings, metrics.requests)) {
    // Health checks and files of web pages would hide what callers see.
    if (hostPaths.has(labels[1] ?? "")) continue;
    const status = labels[2] ?? "";
    byClass.set(status.slice(0, 1), (byClass.get(status.slice(0, 1)) ?? 0) + value);
    if (status === "429") rateLimited += value;
    // A wait for the end of a turn is as long as its caller requests.
    if (labels[3] === "")
      histogram?.buckets.forEach((count, index) => (durations[index] = (durations[index] ?? 0) + count));
  }
  let cacheReads = 0;
  let cacheHits = 0;
  for (const { labels, value } of seriesOf(readings, metrics.cacheReads)) {
    cacheReads += value;
    if (labels[0] !== "miss") cacheHits += value;
  }
  return { at, byClass, rateLimited, cacheReads, cacheHits, durations, devicesOnline };
}

function seriesOf(readings: readonly MetricReading[], definition: MetricReading["definition"]) {
  return readings.find((reading) => reading.definition === definition)?.series ?? [];
}

/** Returns what happened between two samples. */
function differenceOf(before: OverviewSample, after: OverviewSample): OverviewBucket {
  const ofClass = (name: string): number => (after.byClass.get(name) ?? 0) - (before.byClass.get(name) ?? 0);
  const durations = after.durations.map((count, index) => count - (before.durations[index] ?? 0));
  const total = ({ byClass }: OverviewSample): number => [...byClass.values()].reduce((sum, count) => sum + count, 0);
  return {
    startsAt: before.at,
    requests: total(after) - total(before),
    refused: ofClass("4"),
    failed: ofClass("5"),
    rateLimited: after.rateLimited - before.rateLimited,
    cacheReads: after.cacheReads - before.cacheReads,
    cacheHits: after.cacheHits - before.cacheHits,
    p50Ms: quantileMs(durations, 0.5),
    p95Ms: quantileMs(durations, 0.95),
    p99Ms: quantileMs(durations, 0.99),
    devicesOnline: after.devicesOnline,
  };
}

/**
 * Estimates a quantile from a histogram as Prometheus does: linear within the bucket. Beyond the last bound it is that bound. In
 * milliseconds; `null` for an empty histogram.
 */
export function quantileMs(counts: readonly number[], quantile: number): number | null {
  const total = counts.reduce((sum, count) => sum + count, 0);
  if (total === 0) return null;
  const rank = quantile * total;
  let below = 0;
  for (const [index, count] of counts.entries()) {
    const upper = bucketBounds[index];
    if (upper === undefined) break;
    if (below + count >= rank && count > 0) {
      const lower = index === 0 ? 0 : (bucketBounds[index - 1] ?? 0);
      return round((lower + (upper - lower) * ((rank - below) / count)) * 1_000);
    }
    below += count;
  }
  return (bucketBounds.at(-1) ?? 0) * 1_000;
}

function round(value: number): number {
  return Math.round(value * 1_000) / 1_000;
}

/** The samples of the last hour. */
export interface OverviewHistory {
  /** Adds a sample when its minute is over. */
  add(sample: OverviewSample): void;
  /** Returns the buckets, the oldest first. The last one ends at `now`. */
  buckets(now: OverviewSample): readonly OverviewBucket[];
}

/** Creates an {@link OverviewHistory} that begins with the sample of a process before its first request. */
export function createOverviewHistory(first: OverviewSample): OverviewHistory {
  let samples: readonly OverviewSample[] = [first];
  return {
    add(sample) {
      samples = [...samples, sample].slice(-overviewBuckets);
    },
    buckets: (now) =>
      [...samples, now].flatMap((sample, index, all) => {
        const next = all[index + 1];
        return next === undefined ? [] : [differenceOf(sample, next)];
      }),
  };
}
