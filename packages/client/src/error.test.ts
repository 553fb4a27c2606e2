import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";
import { invalidArgument, isLettaEnvironmentsError, LettaEnvironmentsError } from "./error.ts";

describe("LettaEnvironmentsError", () => {
  test("a LettaEnvironmentsError is an Error that has only the members it was created with", () => {
    const error = new LettaEnvironmentsError({ code: "timeout", message: "late", retryable: true });
    expect(error).toBeInstanceOf(Error);
    expect(String(error)).toBe("LettaEnvironmentsError: late");
    expect("cause" in error).toBe(false);
    expect(JSON.parse(JSON.stringify(error))).toEqual({
      name: "LettaEnvironmentsError",
      code: "timeout",
      retryable: true,
    });
  });

  test("a LettaEnvironmentsError is recognised across realms and copies of the package, and other values are not", () => {
    const error = new LettaEnvironmentsError({ code: "aborted", message: "", retryable: false, cause: "why" });
    const foreign: unknown = runInNewContext('Object.assign(new Error("x"), { name: "LettaEnvironmentsError" })');
    expect(error.cause).toBe("why");
    expect(isLettaEnvironmentsError(error)).toBe(true);
    expect(isLettaEnvironmentsError(foreign)).toBe(true);
    expect(isLettaEnvironmentsError(new Error("x"))).toBe(false);
    expect([null, undefined, "x", {}].some((value) => isLettaEnvironmentsError(value))).toBe(false);
  });

  test("invalidArgument names the member and the rule", () => {
    const error = invalidArgument("limit", "must be a number");
    expect(error.message).toBe("limit must be a number");
    const issues = [{ member: "limit", rule: "must be a number" }];
    expect(error).toMatchObject({ code: "invalid_argument", retryable: false, issues });
  });
});
