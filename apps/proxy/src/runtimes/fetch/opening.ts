/** Opens the stores of a gateway without a long-running process: with the first request, and again some time after a failure. */
import type { Clock } from "@letta-environments/platform";
import { type PlainResponse, problemResponse } from "@letta-environments/schema";
import type { LogEvent } from "../../adapters/log-event.ts";
import { keyStoreUnavailable } from "../../auth/authentication.ts";
import { KeyStoreUnavailableError, rootCauseMessage } from "../../keys/key-store-outages.ts";

/** The pause after a failure to open the stores, in milliseconds. Callers without a key must not open a connection with each request. */
const pauseMs = 1_000;

/** The open gateway, or the response while it cannot be opened. */
export type Opening<Gateway> =
  | { readonly kind: "open"; readonly gateway: Gateway }
  | { readonly kind: "failed"; readonly response: PlainResponse };

/**
 * Returns a function that opens the gateway with the first call, and tries again with the first call a second after a failure. It never
 * rejects. Each failure is logged once, with its cause.
 */
export function openWhenCalled<Gateway>(
  open: () => Promise<Gateway>,
  { clock, log }: { readonly clock: Pick<Clock, "monotonic">; readonly log: (event: LogEvent) => void },
): () => Promise<Opening<Gateway>> {
  let latest: Promise<Opening<Gateway>> | null = null;
  let failedAt: number | null = null;
  let hasFailed = false;

  async function attempt(): Promise<Opening<Gateway>> {
    try {
      const gateway = await open();
      if (hasFailed) log({ type: "readiness_recovered", check: storesCheck });
      return { kind: "open", gateway };
    } catch (cause) {
      failedAt = clock.monotonic();
      hasFailed = true;
      log(failureEvent(cause));
      return { kind: "failed", response: failureResponse(cause) };
    }
  }

  return () => {
    if (failedAt !== null && clock.monotonic() - failedAt >= pauseMs) {
      failedAt = null;
      latest = null;
    }
    return (latest ??= attempt());
  };
}

/** The name of the check of `/readyz` that fails while the stores cannot be opened. */
export const storesCheck = "stores";

function failureEvent(cause: unknown): LogEvent {
  return cause instanceof KeyStoreUnavailableError
    ? { type: "key_store_failed", requestId: "-", reason: rootCauseMessage(cause), cause }
    : { type: "readiness_failed", check: storesCheck, cause };
}

function failureResponse(cause: unknown): PlainResponse {
  if (cause instanceof KeyStoreUnavailableError) return keyStoreUnavailable;
  return problemResponse("storage_unavailable", {
    detail: "The gateway cannot open what its settings name; its log has the reason. The request was not executed.",
    retryAfterSeconds: pauseMs / 1_000,
  });
}
