/**
 * @typedef {object} TestSummary
 * @property {number} passed
 * @property {number} failed
 * @property {number} skipped
 */

/** Failures that are no failed test: files that broke before their first one. @param {Record<string, any>} report */
function brokenFiles(report) {
  const files = report.testResults ?? [];
  return files.filter((/** @type {any} */ file) => file.status === "failed" && file.assertionResults.length === 0)
    .length;
}

/**
 * Sums vitest's JSON reports. A file that broke before its first test counts as one failure, and so does a report that is
 * missing or tells of a failed run without saying where: none of them may look like success.
 *
 * @param {readonly (Record<string, any> | undefined)[]} reports one a package, undefined where none was written
 * @returns {TestSummary}
 */
export function sumReports(reports) {
  const summary = { passed: 0, failed: 0, skipped: 0 };
  for (const report of reports) {
    if (report === undefined) {
      summary.failed += 1;
      continue;
    }
    const failed = report.numFailedTests + brokenFiles(report);
    summary.passed += report.numPassedTests;
    summary.failed += failed === 0 && report.success === false ? 1 : failed;
    summary.skipped += report.numPendingTests + report.numTodoTests;
  }
  return summary;
}

/**
 * The exit code of a run: not even a green run passes when it ran nothing, or skipped something where that is not allowed.
 *
 * @param {TestSummary} summary
 * @param {number} runnerCode exit code of the test runner
 * @param {boolean} allowSkipped
 */
export function exitCodeOf(summary, runnerCode, allowSkipped) {
  if (runnerCode !== 0) return runnerCode;
  const ran = summary.passed + summary.failed;
  return summary.failed > 0 || ran === 0 || (summary.skipped > 0 && !allowSkipped) ? 1 : 0;
}

/** The closing line. @param {TestSummary} summary */
export function formatSummary(summary) {
  return `${summary.passed} passed, ${summary.failed} failed, ${summary.skipped} skipped`;
}
