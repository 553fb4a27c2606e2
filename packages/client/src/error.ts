import type { Environment, Problem, ProblemIssue } from "@letta-environments/schema";
import type { EnvironmentsError, ErrorCode } from "./error-codes.ts";

/** What a {@link LettaEnvironmentsError} is made of. */
export interface ErrorDetails {
  readonly code: ErrorCode;
  readonly message: string;
  readonly retryable: boolean;
  readonly status?: number | undefined;
  readonly retryAfterMs?: number | undefined;
  readonly problem?: Partial<Problem>;
  readonly issues?: readonly ProblemIssue[] | undefined;
  readonly requestId?: string | null | undefined;
  readonly clientMessageIds?: readonly string[];
  readonly outcome?: "refused" | "unknown";
  readonly environments?: readonly Environment[];
  readonly cause?: unknown;
}

/** The one error of this package; tell failures apart by `code`. It never holds the key. */
export class LettaEnvironmentsError extends Error {
  /** Tells this package's errors from others, across realms and copies of the package. */
  override readonly name: string = "LettaEnvironmentsError";
  declare readonly code: ErrorCode;
  /** Whether the same call with the same message ids may succeed and does nothing twice. */
  declare readonly retryable: boolean;
  /** HTTP status; absent when there was no answer. */
  declare readonly status?: number | undefined;
  /** How long the server asked to wait, in milliseconds. */
  declare readonly retryAfterMs?: number | undefined;
  /** The error body, when the server sent problem details. */
  declare readonly problem?: Partial<Problem>;
  /** The broken rules, each with the member it concerns; those of an answer as the server sent them. */
  declare readonly issues?: readonly ProblemIssue[] | undefined;
  /** `X-Request-Id` of the answer. */
  declare readonly requestId?: string | null | undefined;
  /** Of a send: the `client_message_id` of each user message; use them again to repeat it. */
  declare readonly clientMessageIds?: readonly string[];
  /** Of a send: `refused` when nothing was done, `unknown` when the message may be running. */
  declare readonly outcome?: "refused" | "unknown";
  /** The rows that the error is about: the device that is offline, or those that a name fits equally. */
  declare readonly environments?: readonly Environment[];

  constructor(details: ErrorDetails) {
    super(details.message, details);
    Object.assign(this, details);
  }
}

/** Tells this package's errors from others, also across realms and copies of the package. */
export const isLettaEnvironmentsError = (value: unknown): value is EnvironmentsError =>
  (value as Partial<Error> | null | undefined)?.name === "LettaEnvironmentsError";
