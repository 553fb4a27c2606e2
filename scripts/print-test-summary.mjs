/** Prints the closing line of the last test run again, from its reports: CI runs more after the tests and ends with it. */
import process from "node:process";
import { exitCodeOf, formatSummary, readReports, sumReports } from "./lib/test-summary.mjs";

const summary = sumReports(readReports().map(({ report }) => report));
process.exitCode = exitCodeOf(summary, 0, !process.env.CI);
process.stdout.write(`${formatSummary(summary)}\n`);
