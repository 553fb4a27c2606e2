import { endpoints, type Problem, problemBody } from "@letta-environments/schema";
import { expect, test } from "vitest";
import { validateResponse } from "./validate-response.ts";

const credential = { value: "upstream-secret" };

function shownFor(body: object): Problem {
  const headers = { "content-type": "application/problem+json" };
  const response = { status: 400, headers, body: JSON.stringify(body) };
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
