/** Prints the summary line of the last test run again. CI ends with it, after the checks that follow the tests. */
import process from "node:process";
import { exitCodeOf, formatSummary, readReports, sumReports } from "./lib/test-summary.mjs";

const summary = sumReports(readReports().map(({ report }) => report));
process.exitCode = exitCodeOf(summary, 0, !process.env.CI);
process.stdout.write(`${formatSummary(summary)}\n`);
