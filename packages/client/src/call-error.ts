import type { EnvironmentsError, ErrorCode } from "./error-codes.ts";
import { type ErrorDetails, LettaEnvironmentsError } from "./error.ts";
import { isRepeatable, type RepeatSafety } from "./retry.ts";

/**
 * The error of a call, with what it means for its request: whether a repeat is safe.
 * @param details What is known beyond the code.
 * @param response Absent when there was none, or none that is complete.
 */
export const callError = (
  safety: RepeatSafety,
  code: ErrorCode,
  details?: Partial<ErrorDetails> | "",
  response?: Response,
): EnvironmentsError => {
  // The members of the union differ in types alone.
  return new LettaEnvironmentsError({
    code,
    message: code.replaceAll("_", " "),
    retryable: code !== "aborted" && isRepeatable(safety, response?.status, response?.headers.get("x-should-retry")),
    status: response?.status,
    requestId: response?.headers.get("x-request-id"),
    ...details,
  }) as EnvironmentsError;
};

/** An `invalid_argument` error for a broken rule. */
export const invalidArgument = (member: string, rule: string): EnvironmentsError =>
  callError("once", "invalid_argument", { issues: [{ member, rule }], message: `${member} ${rule}` });
