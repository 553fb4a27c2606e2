import type { EnvironmentsError, ErrorCode } from "./error-codes.ts";
import { type ErrorDetails, LettaEnvironmentsError } from "./error.ts";

/** Creates an error; the code in words is the default message, and it is not retryable unless the details say so. */
export const callError = (code: ErrorCode, details?: Partial<ErrorDetails>): EnvironmentsError =>
  // The members of the union differ in types alone.
  new LettaEnvironmentsError({
    code,
    message: code.replaceAll("_", " "),
    retryable: false,
    ...details,
  }) as EnvironmentsError;

/** An `invalid_argument` error for a broken rule. */
export const invalidArgument = (member: string, rule: string): EnvironmentsError =>
  callError("invalid_argument", { issues: [{ member, rule }], message: `${member} ${rule}` });
