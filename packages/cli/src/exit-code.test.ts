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

test("a failed send is unknown if an earlier attempt may have been delivered, whatever the last response says", () => {
  for (const [code, status] of [
    ["overloaded", 503],
    ["rate_limited", 429],
    ["invalid_key", 401],
  ] as const) {
    expect(exitCodeOf({ code, status, outcome: "unknown" }, true)).toBe(exitCodes.unknown);
  }
});

test("a send may be repeated later after a 429 that is not a rate limit, even to a server without deduplication", () => {
  expect(exitCodeOf({ code: "queue_full", status: 429, outcome: "unknown" }, true)).toBe(exitCodes.later);
});

test("a message that the device rejected is refused, even when an earlier attempt had no response", () => {
  expect(exitCodeOf({ code: "input_rejected", status: 409, outcome: "unknown" }, true)).toBe(exitCodes.refused);
});

test("a server code that every object inherits as a name has no exit code of its own", () => {
  for (const code of ["constructor", "toString", "__proto__"])
    expect(exitCodeOf({ code: code as "http_error", status: 400 }, false)).toBe(exitCodes.misused);
});

test("a failed read is never unknown", () => {
  expect(exitCodeOf({ code: "upstream_error", status: 429, problem: { delivery: "unknown" } }, false)).toBe(
    exitCodes.later,
  );
});

test("the end of a followed turn has its own exit codes, and only a good end is 0", () => {
  const outcomes = ["finished", "failed", "cancelled", "evicted", "unfinished", "unknown"] as const;
  expect(outcomes.map((outcome) => exitCodeOfTurn[outcome])).toEqual([0, 8, 9, 9, 5, 5]);
});
