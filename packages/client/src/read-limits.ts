import { checkWholeNumber } from "./check-whole-number.ts";
import type { RequestOptions } from "./transport-options.ts";

/** How long and how often a call may try. */
export interface Limits {
  readonly timeoutMs: number;
  readonly maxRetries: number;
}

/** Reads the limits of a call, or of all calls. @throws LettaEnvironmentsError `invalid_argument` naming the option. */
export function readLimits(options: RequestOptions, defaults: Limits): Limits {
  const { timeout = defaults.timeoutMs, timeoutMs = timeout, maxRetries = defaults.maxRetries } = options;
  return {
    timeoutMs: checkWholeNumber("timeoutMs", timeoutMs, 1),
    maxRetries: checkWholeNumber("maxRetries", maxRetries, 0, 10),
  };
}
