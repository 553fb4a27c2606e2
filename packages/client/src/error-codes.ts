import type { ProblemCode } from "@letta-environments/schema";
import type { LettaEnvironmentsError } from "./error.ts";

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
  | "http_error"
  /** Several devices fit a name or a selector; nothing was sent. */
  | "ambiguous_device";

/**
 * What went wrong: a problem code of the server, or one of the client. A newer server may send a code that is not listed, so a
 * `switch` keeps its default branch.
 */
export type ErrorCode = ProblemCode | ClientErrorCode;

/** An error without any answer. */
export interface NoAnswerError extends LettaEnvironmentsError {
  readonly code: "connection_failed" | "timeout" | "aborted";
  readonly status?: undefined;
  readonly problem?: never;
}

/** A broken rule, found before any request; `issues` names each. */
export interface InvalidArgumentError extends LettaEnvironmentsError {
  readonly code: "invalid_argument";
  readonly status?: undefined;
  readonly problem?: never;
  readonly retryable: false;
}

/** Several devices fit; `environments` has their rows. */
export interface AmbiguousDeviceError extends LettaEnvironmentsError {
  readonly code: "ambiguous_device";
  readonly status?: undefined;
  readonly problem?: never;
  readonly retryable: false;
}

/** An answer that cannot be used. */
export interface UnusableAnswerError extends LettaEnvironmentsError {
  readonly code: "redirected" | "invalid_response" | "response_too_large";
  readonly status: number;
  readonly problem?: never;
  readonly retryable: false;
}

/** An error status without a problem code. */
export interface PlainHttpError extends LettaEnvironmentsError {
  readonly code: "http_error";
  readonly status: number;
}

/**
 * A device that cannot be reached, or is not there. `status` is absent where the client saw it before it sent anything;
 * `environments` then has the row.
 */
export interface DeviceError extends LettaEnvironmentsError {
  readonly code: "device_offline" | "environment_not_found";
}

/** What the server says with a code of its own. */
export interface ProblemError<
  Code extends ProblemCode = Exclude<ProblemCode, DeviceError["code"]>,
> extends LettaEnvironmentsError {
  readonly code: Code;
  readonly status: number;
}

/** Every error of this package, as a union that `switch (error.code)` narrows. */
export type EnvironmentsError =
  | NoAnswerError
  | InvalidArgumentError
  | AmbiguousDeviceError
  | UnusableAnswerError
  | PlainHttpError
  | DeviceError
  | ProblemError;
