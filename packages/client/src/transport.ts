import { buildUrl } from "./base-url.ts";
import { callFailed } from "./call-failed.ts";
import { type Deadline, startDeadline } from "./deadline.ts";
import { exchange } from "./exchange.ts";
import { isLettaEnvironmentsError } from "./error.ts";
import { retryDelayMs } from "./retry.ts";
import {
  type RequestOptions,
  resolveLimits,
  resolveSettings,
  type Settings,
  type TransportOptions,
} from "./settings.ts";
import type { TransportRequest, TransportResponse } from "./transport-request.ts";

/** Carries requests to a server. Operations are functions over it, so that it can be wrapped or replaced. */
export interface Transport {
  /** Rejects with a `LettaEnvironmentsError`. */
  send(request: TransportRequest, options?: RequestOptions): Promise<TransportResponse>;
}

/**
 * Makes a transport over `fetch`: deadline, retries, size limit, no redirects.
 *
 * @throws LettaEnvironmentsError `invalid_argument` when an option is not usable.
 */
export function createTransport(options: TransportOptions): Transport {
  const settings = resolveSettings(options);
  return {
    async send(request, requestOptions = {}) {
      const { timeoutMs, maxRetries } = resolveLimits(requestOptions, settings);
      const url = buildUrl(settings.base, request.path, request.query);
      const deadline = startDeadline(settings.clock, timeoutMs, requestOptions.signal ?? null);
      try {
        return await repeat(settings, url, request, deadline, maxRetries);
      } finally {
        deadline.stop();
      }
    },
  };
}

async function repeat(
  settings: Settings,
  url: string,
  request: TransportRequest,
  deadline: Deadline,
  maxRetries: number,
): Promise<TransportResponse> {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await exchange(settings, url, request, deadline);
    } catch (error) {
      const again = isLettaEnvironmentsError(error) && error.retryable && attempt <= maxRetries;
      const delayMs = again ? retryDelayMs(attempt, error.retryAfterMs, settings.random) : null;
      // A wait that outlives the deadline would only hide what the server said.
      if (delayMs === null || delayMs >= deadline.remainingMs()) throw error;
      await sleep(delayMs, request, deadline);
    }
  }
}

async function sleep(delayMs: number, request: TransportRequest, deadline: Deadline): Promise<void> {
  try {
    await deadline.sleep(delayMs);
  } catch (cause) {
    throw callFailed(request, deadline, cause);
  }
}
