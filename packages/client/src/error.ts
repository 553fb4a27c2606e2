import type { OpenEnum, Problem, ProblemCode, ProblemIssue } from "@letta-environments/schema";

/** Codes of failures that the client itself finds. */
export type ClientErrorCode =
  /** An argument breaks a rule of the API; no request was made. */
  | "invalid_argument"
  /** No answer: the server could not be reached, or the connection broke. */
  | "connection_failed"
  /** No complete answer before the deadline. */
  | "timeout"
  /** The caller's signal ended the call. */
  | "aborted"
  /** The server answered with a redirect, which is never followed. */
  | "redirected"
  /** A success whose body is not what the API promises. */
  | "invalid_response"
  /** An answer larger than `maxResponseBytes`. */
  | "response_too_large"
  /** An error status without a problem code. */
  | "http_error";

/** What went wrong: a problem code of the server, or one of the client. A newer server may send a code that is not listed. */
export type ErrorCode = OpenEnum<ProblemCode | ClientErrorCode>;

/** What a {@link LettaEnvironmentsError} is made of. */
export interface ErrorDetails {
  readonly code: ErrorCode;
  readonly message: string;
  readonly retryable: boolean;
  readonly status?: number;
  readonly retryAfterMs?: number;
  readonly problem?: Problem;
  readonly issues?: readonly ProblemIssue[];
  readonly requestId?: string;
  readonly clientMessageIds?: readonly string[];
  readonly cause?: unknown;
}

const marker = Symbol.for("letta-environments.error");

/** The one error of this package; tell failures apart by `code`. It never holds the key. */
export class LettaEnvironmentsError extends Error {
  override readonly name: string = "LettaEnvironmentsError";
  readonly code: ErrorCode;
  /** Whether the same call with the same message ids may succeed and does nothing twice. */
  readonly retryable: boolean;
  /** HTTP status; `null` when there was no answer. */
  readonly status: number | null;
  /** How long the server asked to wait, in milliseconds. */
  readonly retryAfterMs: number | null;
  /** The error body, when the server sent problem details. */
  readonly problem: Problem | null;
  /** The broken rules, each with the member it concerns. */
  readonly issues: readonly ProblemIssue[];
  /** `X-Request-Id` of the answer. */
  readonly requestId: string | null;
  /** The `client_message_id` of each user message of a send; use them again to repeat it. */
  readonly clientMessageIds: readonly string[];

  constructor(details: ErrorDetails) {
    super(details.message, "cause" in details ? { cause: details.cause } : undefined);
    this.code = details.code;
    this.retryable = details.retryable;
    this.status = details.status ?? null;
    this.retryAfterMs = details.retryAfterMs ?? null;
    this.problem = details.problem ?? null;
    this.issues = details.issues ?? [];
    this.requestId = details.requestId ?? null;
    this.clientMessageIds = details.clientMessageIds ?? [];
    Object.defineProperty(this, marker, { value: true });
  }
}

/** Tells this package's errors from others, also across realms and copies of the package. */
export function isLettaEnvironmentsError(value: unknown): value is LettaEnvironmentsError {
  return typeof value === "object" && value !== null && (value as { [marker]?: unknown })[marker] === true;
}

/** An `invalid_argument` error for broken rules. */
export function invalidArgument(issues: readonly ProblemIssue[], cause?: unknown): LettaEnvironmentsError {
  const message = issues.map(({ member, rule }) => `${member} ${rule}`).join("; ");
  return new LettaEnvironmentsError({
    code: "invalid_argument",
    message,
    retryable: false,
    issues,
    ...(cause !== undefined && { cause }),
  });
}
