import { expect, test } from "vitest";
import { exitCodeOf, formatSummary, sumReports } from "./test-summary.mjs";

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
