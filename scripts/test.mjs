/**
 * `pnpm test`: installs missing dependencies, runs the tests of every package, and prints `N passed, N failed, N skipped` as the last
 * line. Arguments are passed to turbo: `pnpm test --force` ignores cached results.
 */
import process from "node:process";
import { ensureNode } from "./setup/supported-node.mjs";
import { ensureInstalled } from "./setup/installation.mjs";
import {
  clearReports,
  describeFailures,
  exitCodeOf,
  formatSummary,
  readReports,
  sumReports,
} from "./lib/test-summary.mjs";
import { runTasks } from "./lib/turbo.mjs";

await ensureInstalled("full", ensureNode);
clearReports();
const given = process.argv.slice(2);
// The gateway's tests use both cores of a small machine, and some have deadlines, so they run alone.
const gateway = "@letta-environments/proxy";
const isFiltered = given.some((argument) => /^(?:--filter|-F)\b/.test(argument));
const forTurbo = given.slice(0, given.includes("--") ? given.indexOf("--") : given.length);
const codes = isFiltered
  ? [await runTasks(["test"], ["--concurrency=1", ...given])]
  : [
      // The console's tests need the built gateway. It is built first, so that they can start early and run beside other tests.
      await runTasks(["build"], [`--filter=${gateway}`, ...forTurbo]),
      await runTasks(["test", "test:scripts"], ["--concurrency=3", `--filter=!${gateway}`, ...given]),
      await runTasks(["test"], [`--filter=${gateway}`, ...given]),
    ];
const reports = readReports();
for (const line of describeFailures(reports)) process.stderr.write(`${line}\n`);
const summary = sumReports(reports.map(({ report }) => report));
// CI has everything that tests need, so a skipped test fails it.
const maySkip = !process.env.CI;
process.exitCode = exitCodeOf(summary, Math.max(...codes), maySkip);
process.stdout.write(`\n${formatSummary(summary)}\n`);
