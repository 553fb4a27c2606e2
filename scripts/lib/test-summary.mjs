/** Reads the reports that vitest leaves in each package and sums them to `N passed, N failed, N skipped`. */
import { readFileSync, rmSync } from "node:fs";
import { join, relative } from "node:path";
import { stripVTControlCharacters } from "node:util";
import { repositoryRoot, workspacePackages } from "./repository.mjs";

/**
 * @typedef {object} TestSummary
 * @property {number} passed
 * @property {number} failed
 * @property {number} skipped
 */

/**
 * Sums vitest's JSON reports. A file that failed before its first test counts as one failure. So does a missing report, and a
 * failed run that names no failed test.
 *
 * @param {readonly (Record<string, any> | undefined)[]} reports one per package, undefined where none was written
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
 * Returns the exit code of a run. A run without tests fails, and so does a skipped test where skipping is not allowed.
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

/** The summary line. @param {TestSummary} summary */
export function formatSummary(summary) {
  return `${summary.passed} passed, ${summary.failed} failed, ${summary.skipped} skipped`;
}

/**
 * Returns a line for each failure of a run, so that the end of a long log names what failed.
 *
 * @param {readonly { folder: string, report: Record<string, any> | undefined }[]} reports
 * @returns {string[]} the file and title of a failed test with the first line of its message, or the folder without a report
 */
export function describeFailures(reports) {
  return reports.flatMap(({ folder, report }) => {
    if (report === undefined) return [`No test report in ${folder}`];
    return (report.testResults ?? []).flatMap((/** @type {any} */ file) => {
      const name = relative(repositoryRoot, file.name);
      if (file.status === "failed" && file.assertionResults.length === 0)
        return [`${name}: ${firstLine(file.message)}`];
      const failed = file.assertionResults.filter((/** @type {any} */ test) => test.status === "failed");
      return failed.map(
        (/** @type {any} */ test) => `${name} > ${test.fullName}: ${firstLine(test.failureMessages?.[0])}`,
      );
    });
  });
}

/** @param {string | undefined} message */
function firstLine(message = "") {
  return stripVTControlCharacters(message).split("\n", 1)[0] ?? "";
}

/** Counts files that failed before their first test. @param {Record<string, any>} report */
function brokenFiles(report) {
  const files = report.testResults ?? [];
  return files.filter((/** @type {any} */ file) => file.status === "failed" && file.assertionResults.length === 0)
    .length;
}

/** The folder of `pnpm consumers`. */
export const consumersFolder = "consumers";

/** Removes the reports of earlier runs, so that they are not counted again. */
export function clearReports() {
  for (const folder of [...testedFolders(), consumersFolder])
    rmSync(join(repositoryRoot, folder, "reports"), { recursive: true, force: true });
}

/**
 * Reads the report of each folder with tests; undefined where none was written.
 *
 * @param {readonly string[]} [more] folders whose tests are not part of `pnpm test`
 * @returns {{ folder: string, report: Record<string, any> | undefined }[]}
 */
export function readReports(more = []) {
  return [...testedFolders(), ...more].map((folder) => {
    try {
      return {
        folder,
        report: JSON.parse(readFileSync(join(repositoryRoot, folder, "reports", "vitest.json"), "utf8")),
      };
    } catch {
      return { folder, report: undefined };
    }
  });
}

/** Folders with tests: every package with a `test` script, and the root for the tests of the scripts. */
function testedFolders() {
  return [
    ".",
    ...workspacePackages()
      .filter(({ manifest }) => manifest.scripts?.test !== undefined)
      .map(({ folder }) => folder),
  ];
}
