/**
 * Prints the failed tests and the summary line of the last runs of `pnpm test` and `pnpm consumers` together. CI ends with it. A run
 * whose report is missing counts as one failure.
 */
import process from "node:process";
import {
  consumersFolder,
  describeFailures,
  exitCodeOf,
  formatSummary,
  readReports,
  sumReports,
} from "./lib/test-summary.mjs";

const reports = readReports([consumersFolder]);
for (const line of describeFailures(reports)) process.stdout.write(`${line}\n`);
const summary = sumReports(reports.map(({ report }) => report));
process.exitCode = exitCodeOf(summary, 0, !process.env.CI);
process.stdout.write(`${formatSummary(summary)}\n`);
