import type { ProblemCode } from "@letta-environments/schema";
import type { LettaEnvironmentsError } from "./error.ts";

/** Codes of failures that the client itself finds. */
export type ClientErrorCode =
  /** An argument breaks a rule of the API; nothing was sent to a device. */
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

/** The caller's signal ended the call; the one code that no server can send. */
export interface AbortedError extends LettaEnvironmentsError {
  readonly code: "aborted";
  readonly status?: undefined;
  readonly problem?: never;
}

/** No answer; `status` is there when a server says so with this code. */
export interface NoAnswerError extends LettaEnvironmentsError {
  readonly code: "connection_failed" | "timeout";
}

/** A broken rule, found before anything is sent to a device; `issues` names it. */
export interface InvalidArgumentError extends LettaEnvironmentsError {
  readonly code: "invalid_argument";
}

/** Several devices fit; `environments` has their rows. */
export interface AmbiguousDeviceError extends LettaEnvironmentsError {
  readonly code: "ambiguous_device";
}

/** An answer that cannot be used. */
export interface UnusableAnswerError extends LettaEnvironmentsError {
  readonly code: "redirected" | "invalid_response" | "response_too_large";
  readonly status: number;
}

/** An error status without a problem code. */
export interface PlainHttpError extends LettaEnvironmentsError {
  readonly code: "http_error";
  readonly status: number;
}

/**
 * A device that cannot be reached, or is not there. `status` is absent where the client saw it before it sent anything;
 * `environments` then has the rows, that of the latest heartbeat first.
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
  | AbortedError
  | NoAnswerError
  | InvalidArgumentError
  | AmbiguousDeviceError
  | UnusableAnswerError
  | PlainHttpError
  | DeviceError
  | ProblemError;
