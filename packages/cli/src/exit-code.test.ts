import { expect, test } from "vitest";
import { exitCodeOf, exitCodeOfTurn, exitCodes } from "./exit-code.ts";

test("a failed send that may have been delivered, as its problem says, is unknown whatever its status and code", () => {
  for (const [code, status] of [
    ["upstream_error", 429],
    ["upstream_error", 409],
    ["send_in_progress", 409],
  ] as const) {
    expect(exitCodeOf({ code, status, problem: { delivery: "unknown" } }, true)).toBe(exitCodes.unknown);
  }
  expect(exitCodeOf({ code: "upstream_error", status: 429, problem: { delivery: "none" } }, true)).toBe(
    exitCodes.later,
  );
});

test("a failed read is never unknown", () => {
  expect(exitCodeOf({ code: "upstream_error", status: 429, problem: { delivery: "unknown" } }, false)).toBe(
    exitCodes.later,
  );
});

test("the end of a turn that was followed has its own codes, and only a good end is 0", () => {
  const outcomes = ["finished", "failed", "cancelled", "evicted", "unfinished", "unknown"] as const;
  expect(outcomes.map(exitCodeOfTurn)).toEqual([0, 8, 9, 9, 5, 5]);
});
