import { type PlainResponse, problemResponse } from "@letta-environments/schema";
import { keyStoreUnavailable } from "./auth/key-refusals.ts";
import { KeyStoreUnavailableError, rootCauseMessage } from "./keys/key-store-outages.ts";
import type { Telemetry } from "./ports.ts";

/**
 * What a caller is told of a failure, which telemetry is told in full. Of a key that could not be looked up nothing is known: 401 would
 * tell a device to give up.
 */
export function failureResponse(requestId: string, cause: unknown, telemetry: Telemetry): PlainResponse {
  if (cause instanceof KeyStoreUnavailableError) {
    // In short: whoever guesses keys during an outage must not fill the log with stacks.
    telemetry({ type: "key_store_failed", requestId, reason: rootCauseMessage(cause) });
    return keyStoreUnavailable();
  }
  telemetry({ type: "internal_error", requestId, cause });
  return problemResponse("internal_error");
}
