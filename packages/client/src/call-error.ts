import type { ClientErrorCode, EnvironmentsError } from "./error-codes.ts";
import { type ErrorDetails, errorTexts, LettaEnvironmentsError } from "./error.ts";
import { isRepeatable } from "./retry.ts";
import type { TransportRequest } from "./transport-request.ts";

/** The request that an error belongs to. */
export type FailedRequest = Pick<TransportRequest<unknown>, "method" | "repeatSafety" | "clientMessageIds">;

/**
 * The error of a call, with what it means for its request: whether a repeat is safe and, of a send, whether the message may
 * be running.
 * @param response `null` when there was none, or none that is complete.
 * @param details What is known beyond the code.
 */
export function callError(
  { method, repeatSafety, clientMessageIds = [] }: FailedRequest,
  code: ClientErrorCode,
  response: Response | null,
  details?: Partial<ErrorDetails>,
): EnvironmentsError {
  const status = response?.status ?? null;
  const retryable =
    (response === null ? code !== "aborted" : response.status >= 400) &&
    isRepeatable(repeatSafety, status, response?.headers.get("x-should-retry"));
  // The members of the union differ in types alone.
  return new LettaEnvironmentsError({
    code,
    message: errorTexts[code],
    retryable,
    status,
    requestId: response?.headers.get("x-request-id") ?? null,
    clientMessageIds,
    outcome:
      method === "GET"
        ? null
        : response && response.status >= 300 && (response.status < 500 || retryable)
          ? "refused"
          : "unknown",
    ...details,
  }) as EnvironmentsError;
}
