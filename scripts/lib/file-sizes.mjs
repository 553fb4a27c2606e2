/** Lines a file may have, and how long the non-test source may be on the whole. */
export const sizeLimits = { maximum: 400, median: 90, p90: 250 };

/**
 * Nearest-rank percentile.
 *
 * @param {readonly number[]} values
 * @param {number} fraction between 0 and 1
 */
export function percentile(values, fraction) {
  const sorted = [...values].sort((left, right) => left - right);
  return sorted[Math.max(0, Math.ceil(fraction * sorted.length) - 1)] ?? 0;
}

/**
 * Holds file lengths against the limits.
 *
 * @param {readonly { path: string, lines: number, isTest: boolean }[]} files
 * @returns {{ problems: string[], median: number, p90: number }}
 */
export function judgeFileSizes(files) {
  const problems = files
    .filter(({ lines }) => lines > sizeLimits.maximum)
    .map(({ path, lines }) => `${path}: ${lines} lines, at most ${sizeLimits.maximum}`);
  const source = files.filter(({ isTest }) => !isTest).map(({ lines }) => lines);
  const median = percentile(source, 0.5);
  const p90 = percentile(source, 0.9);
  if (median > sizeLimits.median)
    problems.push(`median of the source is ${median} lines, at most ${sizeLimits.median}`);
  if (p90 > sizeLimits.p90) problems.push(`90th percentile of the source is ${p90} lines, at most ${sizeLimits.p90}`);
  return { problems, median, p90 };
}
