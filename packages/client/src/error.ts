/**
 * The only error class of this package and its codes. A code is either a problem code of the server or one of the client;
 * `switch (error.code)` narrows {@link EnvironmentsError} to the members that each failure has.
 */
import type { DecidedApproval, Environment, Problem, ProblemCode, ProblemIssue } from "@letta-environments/schema";

/** Codes of failures that the client itself detects. */
export type ClientErrorCode =
  /** An option or argument breaks a rule; nothing was sent to a device. */
  | "invalid_argument"
  /** No response: the server could not be reached, the connection broke, or middleware failed. */
  | "connection_failed"
  /** No complete response before the deadline. */
  | "timeout"
  /** The caller's signal ended the call. */
  | "aborted"
  /**
   * The server responded with a redirect, which the client never follows, because it would send the key along; or with 304 to an `if-none-match` that
   * the caller set in `headers`.
   */
  | "redirected"
  /** A success status with a body that cannot be used. */
  | "invalid_response"
  /** A response larger than `maxResponseBytes`. */
  | "response_too_large"
  /** An error status without a problem code. */
  | "http_error"
  /** Several online devices match a name or a rule; nothing was sent. */
  | "ambiguous_device";

/** A problem code of the server or a code of the client. A newer server may send other codes: keep the `default` branch of a `switch`. */
export type ErrorCode = ProblemCode | ClientErrorCode;

/** Members of a {@link LettaEnvironmentsError}. */
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

/** Details of an error that is created with a code. */
export type NewErrorDetails = Partial<ErrorDetails> & Pick<ErrorDetails, "message">;

/**
 * The only error class that this package throws; `code` identifies the failure. The API key is replaced in texts of
 * responses; `cause`, `environments` and names of devices are passed on unchanged.
 */
export class LettaEnvironmentsError extends Error {
  /** Identifies this package's errors across realms and copies of the package. */
  override readonly name: string = "LettaEnvironmentsError";
  declare readonly code: ErrorCode;
  /** Whether repeating the call, with the same message ids, may succeed and runs nothing twice. */
  declare readonly retryable: boolean;
  /** HTTP status; absent without a response. */
  declare readonly status?: number | undefined;
  /** How long the server asked to wait before a retry, in milliseconds. */
  declare readonly retryAfterMs?: number | undefined;
  /** The body of the error response, if it was problem details (RFC 9457). */
  declare readonly problem?: Partial<Problem>;
  /** Broken rules, each with its member. Issues from a response are passed on unchecked. */
  declare readonly issues?: readonly ProblemIssue[] | undefined;
  /** `X-Request-Id` of the response, even of one that broke off. */
  declare readonly requestId?: string | null | undefined;
  /** Of a send: the `client_message_id` of each user message. Use them again to repeat the send. */
  declare readonly clientMessageIds?: readonly string[];
  /**
   * Of a send, command or removal: `refused` if nothing of it was received, `unknown` if some of it may have been. `problem.parts` says how many
   * parts of a body were.
   */
  declare readonly outcome?: "refused" | "unknown";
  /** Environments that the error is about: the offline device, or all devices that match equally. */
  declare readonly environments?: readonly Environment[];

  constructor(details: ErrorDetails) {
    super(details.message, details);
    Object.assign(this, details);
  }
}

/** Whether a value is an error of this package, even from another realm or copy of the package. */
export function isLettaEnvironmentsError(value: unknown): value is EnvironmentsError {
  return (value as Partial<Error> | null | undefined)?.name === "LettaEnvironmentsError";
}

/** Creates an error without the details that are `undefined`. Default `retryable`: `false`. */
export function createError(code: ErrorCode, details: NewErrorDetails): EnvironmentsError {
  const members = Object.entries(details).filter(([, value]) => value !== undefined);
  const given = Object.fromEntries(members) as NewErrorDetails;
  const error = new LettaEnvironmentsError({ code, retryable: false, ...given });
  // The members of the union differ in types only.
  return error as EnvironmentsError;
}

/** Creates an `invalid_argument` error: `limit must be an integer from 1 to 100`. */
export function invalidArgument(member: string, rule: string): EnvironmentsError {
  return createError("invalid_argument", { issues: [{ member, rule }], message: `${member} ${rule}` });
}

/** The caller's signal ended the call. No server can send this code. */
export interface AbortedError extends LettaEnvironmentsError {
  readonly code: "aborted";
  readonly status?: undefined;
  readonly problem?: never;
}

/** No complete response. `status` is present only if a server sent this code itself. */
export interface NoResponseError extends LettaEnvironmentsError {
  readonly code: "connection_failed" | "timeout";
}

/** A broken rule, found before anything was sent to a device; `issues` names it, unless a server sent this code itself. */
export interface InvalidArgumentError extends LettaEnvironmentsError {
  readonly code: "invalid_argument";
}

/** Several online devices match; `environments` has them, unless a server sent this code itself. */
export interface AmbiguousDeviceError extends LettaEnvironmentsError {
  readonly code: "ambiguous_device";
}

/** A response that cannot be used. */
export interface InvalidResponseError extends LettaEnvironmentsError {
  readonly code: "redirected" | "invalid_response" | "response_too_large";
  readonly status: number;
}

/** An error status without a problem code. */
export interface PlainHttpError extends LettaEnvironmentsError {
  readonly code: "http_error";
  readonly status: number;
}

/**
 * A device that is offline or does not exist. `status` is absent if the client found this out by a look-up before sending;
 * `environments` then has its rows, the one with the latest heartbeat first.
 */
export interface DeviceError extends LettaEnvironmentsError {
  readonly code: "device_offline" | "environment_not_found";
}

/** A decision on a request for permission that already has a different decision. `approval` has that decision, unless the server has forgotten it. */
export interface ApprovalDecidedError extends LettaEnvironmentsError {
  readonly code: "approval_decided";
  readonly status: number;
  readonly problem?: Partial<Problem> & { readonly approval?: Partial<DecidedApproval> };
}

/** A problem that the server reported with a specific code. `problem` is absent if the response had the code, but no title. */
export interface ProblemError<
  Code extends ProblemCode = Exclude<ProblemCode, (DeviceError | ApprovalDecidedError)["code"]>,
> extends LettaEnvironmentsError {
  readonly code: Code;
  readonly status: number;
}

/** Every error of this package, as a union that `switch (error.code)` narrows. */
export type EnvironmentsError =
  | AbortedError
  | NoResponseError
  | InvalidArgumentError
  | AmbiguousDeviceError
  | InvalidResponseError
  | PlainHttpError
  | DeviceError
  | ApprovalDecidedError
  | ProblemError;
