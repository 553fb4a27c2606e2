/** The figures of the last hour: sums for people, and series for charts. */

/** The figures of one bucket, as `/admin/v1/overview` shows it. Durations are milliseconds. */
export interface OverviewBucket {
  /** Epoch milliseconds. */
  readonly startsAt: number;
  readonly requests: number;
  readonly refused: number;
  readonly failed: number;
  readonly rateLimited: number;
  readonly cacheReads: number;
  readonly cacheHits: number;
  readonly p50Ms: number | null;
  readonly p95Ms: number | null;
  readonly devicesOnline: number | null;
}

/** The body of `/admin/v1/overview`. */
export interface OverviewBody {
  readonly bucketMs: number;
  readonly buckets: readonly OverviewBucket[];
}

/** A chart: its lines over the same times. */
export interface Chart {
  readonly title: string;
  readonly unit: string;
  /** Epoch seconds. */
  readonly times: readonly number[];
  readonly lines: readonly { readonly label: string; readonly values: readonly (number | null)[] }[];
}

/** Sums of all buckets, with their names. */
export function summarise({ buckets }: OverviewBody): readonly (readonly [string, string])[] {
  const sum = (read: (bucket: OverviewBucket) => number): number =>
    buckets.reduce((total, bucket) => total + read(bucket), 0);
  const reads = sum(({ cacheReads }) => cacheReads);
  const worst = Math.max(-1, ...buckets.map(({ p95Ms }) => p95Ms ?? -1));
  return [
    ["Requests", sum(({ requests }) => requests).toLocaleString()],
    ["Hit rate", reads === 0 ? "–" : `${Math.round((100 * sum(({ cacheHits }) => cacheHits)) / reads)} %`],
    ["Refused", sum(({ refused }) => refused).toLocaleString()],
    ["Failed", sum(({ failed }) => failed).toLocaleString()],
    ["95th percentile, worst minute", worst < 0 ? "–" : `${worst < 10 ? worst.toFixed(1) : Math.round(worst)} ms`],
  ];
}

/** The charts of the view. */
export function chartsOf({ buckets }: OverviewBody): readonly Chart[] {
  const times = buckets.map(({ startsAt }) => startsAt / 1_000);
  const line = (label: string, read: (bucket: OverviewBucket) => number | null) => ({
    label,
    values: buckets.map(read),
  });
  return [
    { title: "Requests", unit: "per minute", times, lines: [line("requests", ({ requests }) => requests)] },
    {
      title: "Refusals and failures",
      unit: "per minute",
      times,
      lines: [
        line("refused", ({ refused }) => refused),
        line("rate limited", ({ rateLimited }) => rateLimited),
        line("failed", ({ failed }) => failed),
      ],
    },
    {
      title: "Latency",
      unit: "ms",
      times,
      lines: [line("median", ({ p50Ms }) => p50Ms), line("95th percentile", ({ p95Ms }) => p95Ms)],
    },
    {
      title: "Hit rate of the cache",
      unit: "%",
      times,
      lines: [line("hits", ({ cacheReads, cacheHits }) => (cacheReads === 0 ? null : (100 * cacheHits) / cacheReads))],
    },
    { title: "Devices online", unit: "", times, lines: [line("devices", ({ devicesOnline }) => devicesOnline)] },
  ];
}
