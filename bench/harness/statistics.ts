/** Summaries of a series of samples: its median and its spread. */
export interface Summary {
  readonly min: number;
  readonly median: number;
  readonly max: number;
}

/** Smallest, middle and largest of at least one sample. */
export function summarise(samples: readonly number[]): Summary {
  const sorted = samples.toSorted((left, right) => left - right);
  const [min, max] = [sorted[0], sorted.at(-1)];
  if (min === undefined || max === undefined) throw new RangeError("There is no sample to summarise.");
  const middle = sorted.length / 2;
  const median = ((sorted[Math.ceil(middle) - 1] ?? min) + (sorted[Math.floor(middle)] ?? max)) / 2;
  return { min, median, max };
}

/** Median and spread, or a dash. */
export function format(summary: Summary | null | undefined, digits: number): string {
  if (summary === null || summary === undefined) return "-";
  const [median, min, max] = [summary.median, summary.min, summary.max].map((value) => value.toFixed(digits));
  return min === max ? String(median) : `${median} (${min} to ${max})`;
}

/**
 * Welch's t: how many standard errors the means of two series are apart, without assuming equal variances. Between two
 * series of one distribution it stays within 4.5 but once in 100,000 times.
 */
export function welchT(left: ArrayLike<number>, right: ArrayLike<number>): number {
  const [first, second] = [momentsOf(left), momentsOf(right)];
  const difference = first.mean - second.mean;
  const standardError = Math.sqrt(first.variance / left.length + second.variance / right.length);
  return difference === 0 ? 0 : difference / standardError;
}

/** The value below which `fraction` of the samples lie. */
export function quantile(samples: ArrayLike<number>, fraction: number): number {
  const sorted = Float64Array.from(samples).toSorted();
  return sorted[Math.min(sorted.length - 1, Math.floor(fraction * sorted.length))] ?? Number.NaN;
}

function momentsOf(samples: ArrayLike<number>): { readonly mean: number; readonly variance: number } {
  let mean = 0;
  let squares = 0;
  for (let index = 0; index < samples.length; index++) {
    const sample = samples[index] ?? 0;
    const distance = sample - mean;
    mean += distance / (index + 1);
    squares += distance * (sample - mean);
  }
  return { mean, variance: squares / (samples.length - 1) };
}
