import type { ClientErrorCode, EnvironmentsError } from "./error-codes.ts";
import { type ErrorDetails, LettaEnvironmentsError } from "./error.ts";
import { isRepeatable } from "./retry.ts";
import type { TransportRequest } from "./transport-request.ts";

/** The request that an error belongs to. */
export type FailedRequest = Pick<TransportRequest<unknown>, "repeatSafety" | "describeError">;

/**
 * The error of a call, with what it means for its request: whether a repeat is safe and, of a send, whether the message may
 * be running.
 * @param response `null` when there was none, or none that is complete.
 * @param details What is known beyond the code.
 */
export function callError(
  { repeatSafety, describeError }: FailedRequest,
  code: ClientErrorCode,
  response: Response | null,
  details?: Partial<ErrorDetails>,
): EnvironmentsError {
  const status = response?.status ?? null;
  const retryable =
    code !== "aborted" &&
    (status ?? 500) >= 400 &&
    isRepeatable(repeatSafety, status, response?.headers.get("x-should-retry"));
  // The members of the union differ in types alone.
  return new LettaEnvironmentsError({
    code,
    message: code.replaceAll("_", " "),
    retryable,
    status,
    requestId: response?.headers.get("x-request-id") ?? null,
    ...describeError?.(status, retryable),
    ...details,
  }) as EnvironmentsError;
}
