import type { Clock } from "./clock.ts";
import { runCall } from "./run-call.ts";
import { resolveSettings } from "./settings.ts";
import type { RequestOptions, TransportOptions } from "./transport-options.ts";
import type { TransportRequest, TransportResponse } from "./transport-request.ts";

/** Carries requests to a server. Operations are functions over it, so that it can be wrapped or replaced. */
export interface Transport {
  /** Time and chance, for operations that wait. */
  readonly clock: Clock;
  readonly random: () => number;
  /** Rejects with a `LettaEnvironmentsError`. */
  send<Value>(request: TransportRequest<Value>, options?: RequestOptions): Promise<TransportResponse<Value>>;
}

/**
 * Makes a transport over `fetch`: deadline, retries, size limit, no redirects.
 *
 * @throws LettaEnvironmentsError `invalid_argument` when an option is not usable.
 */
export function createTransport(options: TransportOptions): Transport {
  const settings = resolveSettings(options);
  const { clock, random } = settings;
  return { clock, random, send: (request, requestOptions = {}) => runCall(settings, request, requestOptions) };
}
