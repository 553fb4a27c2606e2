import { describe, expect, test } from "vitest";
import { endpoints } from "../endpoints/endpoints.ts";
import { checkValue } from "../checks/check-value.ts";
import { problemBody, problemResponse, ProblemSchema, problemType } from "./problem.ts";
import { problemCodes, problemDefinitions } from "./problem-definitions.ts";

describe("problemResponse", () => {
  test.each(problemCodes)("the problem response %s has the headers and members that known clients read", (code) => {
    const response = problemResponse(code);
    const { status, title, text, retryable, issue } = problemDefinitions[code];
    expect(response.status).toBe(status);
    expect(response.headers).toEqual({
      "content-type": "application/problem+json",
      "cache-control": "private, no-store",
      "x-should-retry": String(retryable),
      ...(status === 503 && retryable && { "retry-after": "1" }),
    });
    const body: unknown = JSON.parse(String(response.body));
    expect(body).toEqual({
      type: problemType(code),
      title,
      status,
      detail: text,
      message: text,
      error: title,
      errorCode: code,
      ...(issue !== undefined && { errors: [issue] }),
    });
    expect(checkValue(ProblemSchema, body, "body").ok).toBe(true);
  });

  test("a problem response puts issues into errors, and the first one into the text", () => {
    const issues = [
      { member: "limit", rule: "must be a whole number" },
      { member: "after", rule: "must not be empty" },
    ];
    expect(problemBody("invalid_request", { issues })).toMatchObject({
      detail: "limit must be a whole number (and 1 more)",
      message: "limit must be a whole number (and 1 more)",
      errors: issues,
    });
    expect(problemBody("invalid_request", { issues: [] }).detail).toBe(problemDefinitions.invalid_request.text);
  });

  test("a registered problem has the registered type URI", () => {
    const registry = "https://iana.org/assignments/http-problem-types";
    expect(problemBody("rate_limited").type).toBe(`${registry}#quota-exceeded`);
    expect(problemBody("limits_unavailable").type).toBe(`${registry}#temporary-reduced-capacity`);
    expect(problemBody("overloaded").type).toBe(`${registry}#temporary-reduced-capacity`);
    expect(problemBody("queue_full").type).toBe("urn:letta-environments:problem:queue_full");
  });

  test("extension members of an occurrence do not replace the standard ones", () => {
    const members = { "violated-policies": ["daily"], errorCode: "mine", status: 200 };
    expect(problemBody("rate_limited", { members })).toMatchObject({
      "violated-policies": ["daily"],
      errorCode: "rate_limited",
      status: 429,
    });
  });

  test("an occurrence can set text, status, delay and headers", () => {
    const response = problemResponse("upstream_error", {
      detail: "Too many.",
      status: 429,
      retryAfterSeconds: 7,
      retryable: true,
      headers: { allow: "GET" },
    });
    expect(response.status).toBe(429);
    expect(response.headers).toMatchObject({ "retry-after": "7", "x-should-retry": "true", allow: "GET" });
    expect(JSON.parse(String(response.body))).toMatchObject({ status: 429, detail: "Too many.", message: "Too many." });
  });
});

describe("problem definitions", () => {
  test("problem codes are lower-case words, statuses are error statuses, and texts are sentences", () => {
    for (const code of problemCodes) {
      const { status, title, text } = problemDefinitions[code];
      expect(code).toMatch(/^[a-z]+(?:_[a-z]+)*$/);
      expect(status).toBeGreaterThanOrEqual(400);
      expect(status).toBeLessThan(600);
      expect(title).toMatch(/^[A-Z][^.]*$/);
      expect(text).toMatch(/^(?:[A-Z]|agentId ).*\.$/);
    }
  });

  test("a problem after which a device may have acted is not retryable", () => {
    expect(problemDefinitions.delivery_unknown.retryable).toBe(false);
    expect(problemDefinitions.device_offline.retryable).toBe(false);
    expect(problemDefinitions.input_rejected.retryable).toBe(false);
  });

  test("the text of device_offline contains the words that official clients search for", () => {
    expect(problemDefinitions.device_offline.text).toContain("Remote environment is offline");
  });

  test("endpoints name only problem codes that exist", () => {
    const named = Object.values({ ...endpoints }).flatMap((endpoint) => [...endpoint.problems]);
    expect(named.filter((code) => !problemCodes.includes(code))).toEqual([]);
  });
});

test("a retryable 503 has Retry-After: 1 unless the occurrence sets another delay", () => {
  expect(problemResponse("shutting_down").headers).toMatchObject({ "retry-after": "1", "x-should-retry": "true" });
  expect(problemResponse("shutting_down", { retryAfterSeconds: 7 }).headers["retry-after"]).toBe("7");
  expect(problemResponse("upstream_timeout").headers["retry-after"]).toBeUndefined();
});
