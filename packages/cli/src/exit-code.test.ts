import { problemCodes, problemDefinitions } from "@letta-environments/schema";
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
    ["queue_full", 429],
    ["http_error", 429],
    ["invalid_key", 401],
  ] as const) {
    expect(exitCodeOf({ code, status, outcome: "unknown" }, true)).toBe(exitCodes.unknown);
  }
});

test("a message that the device rejected is refused, even when an earlier attempt had no response", () => {
  expect(exitCodeOf({ code: "input_rejected", status: 409, outcome: "unknown" }, true)).toBe(exitCodes.refused);
});

test("the exit code of a refused send is unknown only for codes that leave delivery open, or that the program's sends never get", () => {
  const refusal = { outcome: "refused", problem: { delivery: "none" } } as const;
  const unknown = problemCodes.filter((code) => {
    const { status } = problemDefinitions[code];
    return exitCodeOf({ code, status, ...refusal }, true) === exitCodes.unknown;
  });
  const open = [
    "send_in_progress",
    "internal_error",
    "upstream_error",
    "upstream_invalid_response",
    "upstream_response_too_large",
    "upstream_redirected",
    "delivery_unknown",
    "control_unknown",
  ];
  // The client reports a send as unknown after every other 5xx that permits no repeat.
  const unrepeatable = ["upstream_credential_rejected", "loop_detected"];
  const ofOtherRequests = [
    "endpoint_not_found",
    "message_not_found",
    "key_not_found",
    "method_not_allowed",
    "message_ambiguous",
    "key_revoked",
    "key_damaged",
    "precondition_failed",
    "unsupported_media_type",
    "upgrade_required",
    "not_ready",
  ];
  expect(unknown.toSorted()).toEqual([...open, ...unrepeatable, ...ofOtherRequests].toSorted());
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

test("the end of a followed turn has its own exit codes, and only success is 0", () => {
  const outcomes = ["finished", "failed", "cancelled", "evicted", "unfinished", "unknown"] as const;
  expect(outcomes.map((outcome) => exitCodeOfTurn[outcome])).toEqual([0, 8, 9, 9, 5, 5]);
});
