/**
 * Which reads of a remote server are repeated, and when. The delay has full jitter: random between zero and a bound that doubles. A budget limits
 * retries to a share of all reads, so that a server that is down does not get more load than one that works. Sends are never repeated.
 */
import type { PlainHeaders, PlainResponse } from "@letta-environments/schema";
import { isGatewayFailure } from "../http/gateway-failure.ts";
import type { UpstreamFailure } from "../ports.ts";

/** The most retries of a read. */
export const maxRetries = 2;

/** Upper bound of the delay before the first retry, in milliseconds. It doubles with each one. */
const firstBoundMs = 100;

/** The longest `Retry-After` that a read waits for, in milliseconds. Longer ones are passed on to the caller, who waits instead. */
const maxRetryAfterMs = 5_000;

/** Inputs of {@link retryDelayMs}. */
export interface RetrySituation {
  readonly result: PlainResponse | UpstreamFailure;
  /** Number of retries so far. */
  readonly retries: number;
  /** Time until the deadline, in milliseconds. */
  readonly remainingMs: number;
  /** Wall time in epoch milliseconds, for a `Retry-After` with a date. */
  readonly nowMs: number;
  /** From 0 up to, but not including, 1. */
  readonly random: number;
}

/** Returns after how many milliseconds a read is repeated; `null`: it is not. */
export function retryDelayMs({ result, retries, remainingMs, nowMs, random }: RetrySituation): number | null {
  if (retries >= maxRetries || !isTransient(result)) return null;
  const retryAfterMs = "reason" in result ? null : parseRetryAfter(result.headers, nowMs);
  if (retryAfterMs !== null && retryAfterMs > maxRetryAfterMs) return null;
  const delayMs = (retryAfterMs ?? 0) + Math.floor(random * firstBoundMs * 2 ** retries);
  return delayMs < remainingMs ? delayMs : null;
}

/** Returns whether the same read may succeed soon. */
function isTransient(result: PlainResponse | UpstreamFailure): boolean {
  if ("reason" in result) return !result.isStopped && (result.reason === "unreachable" || result.reason === "broken");
  const { status, headers } = result;
  return (status === 408 || status === 429 || isGatewayFailure(status)) && headers["x-should-retry"] !== "false";
}

/** Reads `Retry-After` (RFC 9110 section 10.2.3) in milliseconds from now; `null` when it is missing or malformed. */
export function parseRetryAfter(headers: PlainHeaders, nowMs: number): number | null {
  const value = headers["retry-after"];
  if (value === undefined) return null;
  if (/^[0-9]{1,9}$/.test(value)) return Number(value) * 1_000;
  const atMs = /^[A-Z][a-z]{2}, .* GMT$/.test(value) ? Date.parse(value) : Number.NaN;
  return Number.isNaN(atMs) ? null : Math.max(0, atMs - nowMs);
}

/** Number of retries that a budget allows for each read. */
export const retriesPerRead = 0.2;

/** The most retries that a budget saves up. A new budget is full. */
export const maxSavedRetries = 10;

/** Limits retries to {@link retriesPerRead} of the reads, and to {@link maxSavedRetries} in a burst. */
export interface RetryBudget {
  /** Counts a read. */
  deposit(): void;
  /** Takes a retry; false if none is left. */
  take(): boolean;
}

/** Creates a full {@link RetryBudget}. */
export function createRetryBudget(): RetryBudget {
  // Counted in units such that a retry costs a whole number of them, since sums of fractions are not exact.
  const unitsPerRetry = Math.round(1 / retriesPerRead);
  let units = maxSavedRetries * unitsPerRetry;
  return {
    deposit() {
      units = Math.min(units + 1, maxSavedRetries * unitsPerRetry);
    },
    take() {
      if (units < unitsPerRetry) return false;
      units -= unitsPerRetry;
      return true;
    },
  };
}
