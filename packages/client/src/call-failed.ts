import type { Deadline } from "./deadline.ts";
import { LettaEnvironmentsError } from "./error.ts";
import { isRepeatable, type RepeatSafety } from "./retry.ts";

/** What the errors of a call tell about its request. */
export interface FailedRequest {
  readonly repeatSafety: RepeatSafety;
  readonly clientMessageIds: readonly string[];
}

/** The error of a call without a complete answer: out of time, ended by the caller, or a broken connection. */
export function callFailed(request: FailedRequest, deadline: Deadline, cause: unknown): LettaEnvironmentsError {
  const end = deadline.end();
  const { clientMessageIds, repeatSafety } = request;
  const retryable = isRepeatable(repeatSafety, null, null);
  if (end?.kind === "aborted") {
    const message = "The caller ended the call.";
    return new LettaEnvironmentsError({
      code: "aborted",
      message,
      retryable: false,
      clientMessageIds,
      cause: end.reason,
    });
  }
  if (end?.kind === "timeout") {
    const message = "There was no complete answer in time.";
    return new LettaEnvironmentsError({ code: "timeout", message, retryable, clientMessageIds, cause });
  }
  const message = "The server could not be reached, or the connection broke.";
  return new LettaEnvironmentsError({ code: "connection_failed", message, retryable, clientMessageIds, cause });
}
