/**
 * Requests for operations that only servers of this project have. When a server lacks one, the error says which one, so that
 * callers do not look for a wrong id.
 */
import { type ErrorCode, isLettaEnvironmentsError } from "../error.ts";
import type { RequestOptions } from "../options.ts";
import type { TransportRequest, TransportResponse } from "../request.ts";
import type { Transport } from "../transport.ts";

/**
 * Sends a request. If the server lacks the operation, the error names it.
 *
 * @param otherCode the code that a server without the operation returns instead: it reads `events` in the path as a deviceId
 */
export async function sendExtension<Value>(
  transport: Transport,
  request: TransportRequest<Value>,
  options?: RequestOptions,
  otherCode?: ErrorCode,
): Promise<TransportResponse<Value>> {
  try {
    return await transport.send(request, options);
  } catch (error) {
    if (isLettaEnvironmentsError(error)) {
      const { code, status, message } = error;
      const isMissing =
        status === 405 ||
        code === "endpoint_not_found" ||
        code === otherCode ||
        (code === "http_error" && status === 404);
      if (isMissing)
        error.message = `the server does not offer ${request.operation}, an extension of @letta-environments: ${message}`;
    }
    throw error;
  }
}
