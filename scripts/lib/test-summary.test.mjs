import { join } from "node:path";
import { expect, test } from "vitest";
import { repositoryRoot } from "./repository.mjs";
import { describeFailures, exitCodeOf, formatSummary, sumReports } from "./test-summary.mjs";

/** @param {Partial<Record<string, unknown>>} [members] */
const report = (members) => ({
  numPassedTests: 0,
  numFailedTests: 0,
  numPendingTests: 0,
  numTodoTests: 0,
  testResults: [],
  ...members,
});

test("the summary line sums every report", () => {
  const summary = sumReports([
    report({ numPassedTests: 3, numPendingTests: 1 }),
    report({ numPassedTests: 4, numFailedTests: 2, numTodoTests: 1 }),
  ]);
  expect(formatSummary(summary)).toBe("7 passed, 2 failed, 2 skipped");
});

test("a missing report, a file that failed before its first test and a failed run without tests each count as a failure", () => {
  const broken = report({ success: false, testResults: [{ status: "failed", assertionResults: [] }] });
  const empty = report({ success: false });
  expect(sumReports([undefined, broken, empty])).toEqual({ passed: 0, failed: 3, skipped: 0 });
});

test("a run passes only if a test ran, none failed, and none was skipped where skipping is not allowed", () => {
  expect(exitCodeOf({ passed: 1, failed: 0, skipped: 0 }, 0, false)).toBe(0);
  expect(exitCodeOf({ passed: 1, failed: 0, skipped: 1 }, 0, true)).toBe(0);
  expect(exitCodeOf({ passed: 1, failed: 0, skipped: 1 }, 0, false)).toBe(1);
  expect(exitCodeOf({ passed: 0, failed: 0, skipped: 0 }, 0, true)).toBe(1);
  expect(exitCodeOf({ passed: 1, failed: 1, skipped: 0 }, 0, true)).toBe(1);
  expect(exitCodeOf({ passed: 1, failed: 0, skipped: 0 }, 3, true)).toBe(3);
});

test("a failed run names every failed test, broken file and missing report in one line each", () => {
  const name = join(repositoryRoot, "apps/proxy/test/a.test.ts");
  const failing = {
    status: "failed",
    fullName: "sends > once",
    failureMessages: ["\u001b[31mError: two\u001b[39m\n  at x"],
  };
  const reports = [
    { folder: "packages/client", report: undefined },
    {
      folder: "apps/proxy",
      report: report({
        testResults: [
          { name, status: "failed", message: "", assertionResults: [{ status: "passed", fullName: "fine" }, failing] },
          { name, status: "failed", message: "Cannot load\nmore", assertionResults: [] },
        ],
      }),
    },
  ];
  expect(describeFailures(reports)).toEqual([
    "No test report in packages/client",
    "apps/proxy/test/a.test.ts > sends > once: Error: two",
    "apps/proxy/test/a.test.ts: Cannot load",
  ]);
});
