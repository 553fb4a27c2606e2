/**
 * The table of metrics: numbers in one typed array, with a fixed limit on its series. A series beyond the limit is counted in the `_OTHER`
 * series of its metric, so that no caller can make the table grow. Reading the table changes nothing.
 */
import { bucketBounds, type MetricDefinition } from "./definitions.ts";

/** The value of every label of a series that stands for others. */
export const otherValue = "_OTHER";

/**
 * The largest number of series, apart from one `_OTHER` series for each metric. Ids get new series only in its first half: a caller can make up ids
 * where the upstream verifies its key, and must not take the labels from what the alerts watch.
 */
const defaultMaxSeries = 2_000;

export interface SeriesReading {
  readonly labels: readonly string[];
  /** The value of a counter or a gauge; the number of observations of a histogram. */
  readonly value: number;
  /** Of a histogram: the sum of the observations, and the number in each bucket; the last bucket has no upper bound. */
  readonly histogram?: { readonly sum: number; readonly buckets: readonly number[] };
}

export interface MetricReading {
  readonly definition: MetricDefinition;
  readonly series: readonly SeriesReading[];
}

/** The place of a series in the table. */
export type SeriesIndex = number;

/** The values of all metrics. */
export interface MetricTable {
  /** Returns the series of a metric with these label values, in the order of its labels. */
  series(definition: MetricDefinition, values: readonly string[]): SeriesIndex;
  add(index: SeriesIndex, amount: number): void;
  /** Adds an observation to a histogram. */
  observe(index: SeriesIndex, value: number): void;
  /** Returns every series of every metric, in the order in which they were first used. */
  read(): readonly MetricReading[];
  readonly size: number;
}

interface Metric {
  readonly definition: MetricDefinition;
  readonly cells: number;
  readonly series: Map<string, { readonly labels: readonly string[]; readonly offset: SeriesIndex }>;
}

const bounds = Float64Array.from(bucketBounds);
const histogramCells = bounds.length + 2;

export function createMetricTable(maxSeries: number = defaultMaxSeries): MetricTable {
  const metrics = new Map<MetricDefinition, Metric>();
  let cells = new Float64Array(1_024);
  let used = 0;
  let size = 0;

  function allocate(count: number): SeriesIndex {
    if (used + count > cells.length) {
      const grown = new Float64Array(cells.length * 2);
      grown.set(cells);
      cells = grown;
    }
    const offset = used;
    used += count;
    return offset;
  }

  function metricOf(definition: MetricDefinition): Metric {
    let metric = metrics.get(definition);
    if (metric === undefined) {
      metric = { definition, cells: definition.kind === "histogram" ? histogramCells : 1, series: new Map() };
      metrics.set(definition, metric);
    }
    return metric;
  }

  function seriesOf(metric: Metric, values: readonly string[]): SeriesIndex {
    const key = values.join("\u0000");
    const known = metric.series.get(key);
    if (known !== undefined) return known.offset;
    const other = metric.definition.labels.map(() => otherValue);
    const isOther = values.every((value) => value === otherValue);
    const limit = metric.definition.hasIds === true ? maxSeries / 2 : maxSeries;
    if (size >= limit && !isOther) return seriesOf(metric, other);
    const offset = allocate(metric.cells);
    metric.series.set(key, { labels: [...values], offset });
    size += 1;
    return offset;
  }

  function readSeries({ definition, series }: Metric): MetricReading {
    return {
      definition,
      series: [...series.values()].map(({ labels, offset }) => {
        if (definition.kind !== "histogram") return { labels, value: cells[offset] ?? 0 };
        const buckets = [...cells.subarray(offset, offset + bounds.length + 1)];
        const sum = cells[offset + bounds.length + 1] ?? 0;
        return { labels, value: buckets.reduce((total, count) => total + count, 0), histogram: { sum, buckets } };
      }),
    };
  }

  return {
    series: (definition, values) => seriesOf(metricOf(definition), values),
    add(index, amount) {
      cells[index] = (cells[index] ?? 0) + amount;
    },
    observe(index, value) {
      let bucket = 0;
      while (bucket < bounds.length && value > (bounds[bucket] ?? 0)) bucket += 1;
      cells[index + bucket] = (cells[index + bucket] ?? 0) + 1;
      const sum = index + bounds.length + 1;
      cells[sum] = (cells[sum] ?? 0) + value;
    },
    read: () => [...metrics.values()].map(readSeries),
    get size() {
      return size;
    },
  };
}
