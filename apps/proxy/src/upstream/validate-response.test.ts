import { endpoints, type Problem, problemBody, type ProblemCode, problemDefinitions } from "@letta-environments/schema";
import { describe, expect, test } from "vitest";
import { validateResponse } from "./validate-response.ts";

const credential = { value: "upstream-secret" };

function shownFor(body: object, status = 400): Problem {
  const headers = { "content-type": "application/problem+json" };
  const response = { status, headers, body: JSON.stringify(body) };
  return JSON.parse(String(validateResponse(endpoints.listApprovals, response, credential).body)) as Problem;
}

test("the validation errors of another gateway reach the caller, without the credential and control characters", () => {
  const errors = [
    { member: "after", rule: `must be the cursor\u0000of an earlier page, not ${credential.value}`, more: 1 },
    { member: "limit" },
    "no object",
    ...Array.from({ length: 20 }, () => ({ member: "x", rule: "must be y" })),
  ];
  const shown = shownFor({ ...problemBody("invalid_request"), errors }).errors ?? [];
  expect(shown[0]).toEqual({ member: "after", rule: "must be the cursor of an earlier page, not [removed]" });
  expect(shown).toHaveLength(15);
});

test("the text and the code of an error are read from any body that a gateway may send, and not from one that would hold up other callers", () => {
  const padded = (length: number): object => {
    const problem = { ...problemBody("invalid_request"), message: "no", more: "" };
    return { ...problem, more: "x".repeat(length - JSON.stringify(problem).length) };
  };
  expect(shownFor(padded(2_097_152))).toMatchObject({ errorCode: "invalid_request", detail: "no" });
  expect(shownFor(padded(2_097_153))).toMatchObject({
    errorCode: "upstream_error",
    detail: "The upstream returned status 400.",
  });
});

test("the beginning of a long text is shown, and the credential is removed before the text is cut", () => {
  const shown = (text: string): string => shownFor({ message: text }).detail;
  const start = "\u0000".repeat(65_530);
  expect(shown(`${credential.value}${"x\u0000".repeat(200_000)}`)).toBe(`[removed]${"x ".repeat(250)}`.slice(0, 500));
  expect(shown(`${start}${credential.value}`)).toBe("[remov");
});

test("error members from other kinds of servers, which may mean something else, are not passed on", () => {
  const shown = shownFor({ message: "no", errors: [{ member: "after", rule: "must be a cursor" }] });
  expect(shown).toMatchObject({ errorCode: "upstream_error", detail: "no" });
  expect(shown.errors).toBeUndefined();
});

describe("what another gateway says about the delivery of a body", () => {
  const shownParts = (parts: unknown, code: ProblemCode = "input_rejected"): unknown =>
    shownFor({ ...problemBody(code), parts }, problemDefinitions[code].status).parts;

  test.each<ProblemCode>(["input_rejected", "delivery_unknown"])("reaches the caller of a send that is %s", (code) => {
    const parts = { count: 2, delivered: 1, errorCode: "approval_not_found" };
    expect(shownParts(parts, code)).toEqual(parts);
  });

  test("reaches the caller with these members only, and without a code that this version does not know", () => {
    const parts = { count: 3, delivered: 2, errorCode: `new ${credential.value}`, more: credential.value };
    expect(shownParts(parts)).toEqual({ count: 3, delivered: 2, errorCode: "upstream_error" });
  });

  test.each([
    ["is not an object", "1 of 2"],
    ["says that nothing was delivered", { count: 2, delivered: 0, errorCode: "input_rejected" }],
    ["counts in fractions", { count: 2, delivered: 0.5, errorCode: "input_rejected" }],
    ["has a text as a number", { count: "2", delivered: 1, errorCode: "input_rejected" }],
    ["has more than there is", { count: 1, delivered: 2, errorCode: "input_rejected" }],
  ])("is left out when it %s", (_what, parts) => {
    expect(shownParts(parts)).toBeUndefined();
  });

  test("is left out of a problem that has no such member", () => {
    expect(shownParts({ count: 2, delivered: 1, errorCode: "input_rejected" }, "rate_limited")).toBeUndefined();
  });
});

describe("the first decision on a request, which another gateway knows", () => {
  const shownApproval = (approval: unknown, code: ProblemCode = "approval_decided"): unknown =>
    Reflect.get(shownFor({ ...problemBody(code), approval }, problemDefinitions[code].status), "approval");
  const decided = { decision: "deny", decidedBy: "key_1", decidedAt: 1_800_000_000_000 };

  test("reaches the caller without the request, the credential and control characters", () => {
    expect(shownApproval({ ...decided, id: "call-1", deviceId: "d", reason: credential.value })).toEqual(decided);
    const decidedBy = `policy:\u0000${credential.value}`;
    expect(shownApproval({ ...decided, decidedBy })).toEqual({ ...decided, decidedBy: "policy: [removed]" });
  });

  test.each([
    ["is not an object", "deny"],
    ["has no time", { ...decided, decidedAt: "yesterday" }],
    ["was made by nobody", { ...decided, decidedBy: null }],
    ["is another one than allow and deny", { ...decided, decision: credential.value }],
  ])("is left out when it %s", (_what, approval) => {
    expect(shownApproval(approval)).toBeUndefined();
  });

  test("is left out of a problem that has no such member", () => {
    expect(shownApproval(decided, "rate_limited")).toBeUndefined();
  });
});
