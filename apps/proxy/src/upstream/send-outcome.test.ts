import {
  jsonResponse,
  type PlainResponse,
  type ProblemCode,
  problemCodes,
  problemDefinitions,
  problemResponse,
} from "@letta-environments/schema";
import { describe, expect, test } from "vitest";
import { problemOf } from "../../test/support/test-proxy.ts";
import { describeDelivery, sendOutcome } from "./send-outcome.ts";
import { cloudflareStatuses } from "../../test/support/cloudflare-statuses.ts";

const messages = { hasMessages: true, hasApprovals: false };
const decisions = { hasMessages: false, hasApprovals: true };
const mixed = { hasMessages: true, hasApprovals: true };

const outcome = (end: Parameters<typeof sendOutcome>[0], content = messages): string => {
  const isAccepted = end !== null && "status" in end && end.status === 200;
  const { action, delivery } = sendOutcome(end, isAccepted, content);
  return `${action} ${delivery}`;
};
const foreign = (status: number, headers: Record<string, string> = {}): PlainResponse =>
  jsonResponse(status, { message: "no" }, headers);
const deduplicating = { "x-message-deduplication": "86400" };

test.each([
  ["a success", jsonResponse(200, { success: true, message: "ok" }), "settle null"],
  ["a success that says the device refused", jsonResponse(200, { success: false, message: "no" }), "settle null"],
  ["a call that was never sent", { reason: "unreachable", cause: null }, "release none"],
  ["a connection that broke", { reason: "broken", cause: null }, "settle unknown"],
  ["a response that is too large", { reason: "too_large", cause: null }, "settle unknown"],
  ["no response in time", null, "settle unknown"],
] as const)("a send has the right outcome after %s", (_what, end, expected) => {
  expect(outcome(end)).toBe(expected);
});

describe("statuses from third-party servers", () => {
  test.each([
    [[400, 401, 402, 403, 404, 405, 406, 410, 413, 415, 418, 422, 425, 451, 307, 308], "release none"],
    [[201, 202, 204, 301, 302, 303, 408, 409, 429, 499, 500, 502, 503, 504, 599, 600, 999], "settle unknown"],
    [cloudflareStatuses, "settle unknown"],
  ])("the statuses %j from a third-party server have the outcome %s", (statuses, expected) => {
    expect(statuses.map((status) => [status, outcome(foreign(status))])).toEqual(
      statuses.map((status) => [status, expected]),
    );
  });

  test.each([429, 503])(
    "the status %d is trusted only from a server that deduplicates and says that a repeat is safe",
    (status) => {
      const retry = { "x-should-retry": "true" };
      expect(outcome(foreign(status, { ...deduplicating, ...retry }))).toBe("release none");
      expect(outcome(foreign(status, retry))).toBe("settle unknown");
      expect(outcome(foreign(status, deduplicating))).toBe("settle unknown");
      expect(outcome(foreign(status, { ...retry, "x-message-deduplication": "0" }))).toBe("settle unknown");
    },
  );

  test("the status 409 is trusted only with the text by which clients of the hosted API recognise an offline device", () => {
    expect(outcome(jsonResponse(409, { message: "Remote environment is offline" }))).toBe("release none");
    expect(outcome(jsonResponse(409, { error: "Conflict", message: "offline" }))).toBe("settle unknown");
  });

  test("a code of the gateway counts only with its own type and status", () => {
    const { body } = problemResponse("shutting_down");
    expect(outcome({ status: 503, headers: {}, body })).toBe("release none");
    expect(outcome({ status: 500, headers: {}, body })).toBe("settle unknown");
    expect(outcome(jsonResponse(503, { errorCode: "shutting_down", message: "x" }))).toBe("settle unknown");
  });
});

describe("problems of another gateway", () => {
  test.each<[string, readonly ProblemCode[]]>([
    [
      "release none",
      [
        "device_offline",
        "connection_replaced",
        "connection_not_found",
        "mode_not_allowed",
        "message_id_reused",
        "approval_decided",
        "queue_full",
        "rate_limited",
        "limits_unavailable",
        "key_store_unavailable",
        "audit_unavailable",
        "idempotency_unavailable",
        "overloaded",
        "shutting_down",
        "upstream_unreachable",
        "upstream_timeout",
      ],
    ],
    ["settle unknown", ["delivery_unknown", "internal_error", "upstream_error", "upstream_invalid_response"]],
    ["release unknown", ["send_in_progress"]],
    ["settle null", ["input_rejected"]],
  ])("the outcome %s follows from these codes of another gateway: %j", (expected, codes) => {
    expect(codes.map((code) => [code, outcome(problemResponse(code))])).toEqual(codes.map((code) => [code, expected]));
  });

  test("every 5xx code of another gateway means that nothing was sent, except the codes for an unknown outcome", () => {
    const codes = problemCodes.filter((code) => problemDefinitions[code].status >= 500);
    const open = codes.filter((code) => outcome(problemResponse(code)) !== "release none");
    expect(open.toSorted()).toEqual([
      "control_unknown",
      "delivery_unknown",
      "internal_error",
      "not_ready",
      "upstream_error",
      "upstream_invalid_response",
      "upstream_redirected",
      "upstream_response_too_large",
    ]);
  });

  test("a decision that came too late was not delivered, however long the reason of the first one is", () => {
    const members = { approval: { reason: "x".repeat(1_048_576) } };
    expect(outcome(problemResponse("approval_decided", { members }), decisions)).toBe("release none");
  });

  test("a rejected decision can be sent again, a rejected message cannot", () => {
    const rejected = problemResponse("input_rejected");
    const known = problemResponse("input_rejected", { headers: deduplicating });
    expect(outcome(rejected, decisions)).toBe("release null");
    expect(outcome(known, messages)).toBe("settle null");
    // The server recognises the part that it has delivered, and delivers only the rest.
    expect([outcome(rejected, mixed), outcome(known, mixed)]).toEqual(["settle null", "release null"]);
  });

  test("a body that was delivered in part is sent again only by a server that recognises that part, and never counts as undelivered", () => {
    const members = { parts: { count: 2, delivered: 1, errorCode: "approval_not_found" } };
    const rejected = problemResponse("input_rejected", { members });
    const known = problemResponse("input_rejected", { members, headers: deduplicating });
    const outcomes = [mixed, decisions].map((content) => [outcome(rejected, content), outcome(known, content)]);
    expect(outcomes).toEqual([
      ["settle unknown", "release unknown"],
      ["settle unknown", "release unknown"],
    ]);
  });
});

describe("responses for the caller", () => {
  const upstream = problemResponse("upstream_error", {
    status: 429,
    detail: "slow down",
    retryable: true,
    headers: { "retry-after": "7" },
  });

  test("an unknown outcome says that the message may have been delivered, and is never retried automatically", () => {
    const response = describeDelivery(upstream, { action: "settle", delivery: "unknown" });
    const { detail, message, delivery } = problemOf(response);
    expect(detail).toBe("slow down. The message may have been delivered. Do not send it again with another id.");
    expect([message, delivery, response.headers["x-should-retry"]]).toEqual([detail, "unknown", "false"]);
    expect(response.headers).not.toHaveProperty("retry-after");
  });

  test("a refusal says that nothing was delivered, and when a repeat is safe", () => {
    const response = describeDelivery(upstream, { action: "release", delivery: "none" });
    expect(problemOf(response)).toMatchObject({ detail: "slow down", delivery: "none" });
    expect(response.headers).toMatchObject({ "x-should-retry": "true", "retry-after": "7" });
  });

  test("a response that states what was delivered is passed on unchanged", () => {
    const accepted = jsonResponse(200, { success: true, message: "ok" });
    expect(describeDelivery(accepted, { action: "settle", delivery: null })).toBe(accepted);
  });
});
