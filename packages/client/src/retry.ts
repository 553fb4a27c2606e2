/**
 * What happens when a request reaches the server twice.
 * `read`: nothing. `deduplicated`: the server recognises the message ids. `once`: it may be done twice.
 */
export type RepeatSafety = "read" | "deduplicated" | "once";

/** Longest delay that is waited for on a server's word, in milliseconds. */
export const maxRetryAfterMs = 60_000;

const firstBackoffMs = 500;
const maxBackoffMs = 8_000;

/**
 * Tells whether a failed request may be repeated. `x-should-retry` decides where the server sent it. Else a send is repeated
 * only after 429, when nothing was done, and after a broken connection, when its message ids keep it from running twice.
 * @param status HTTP status; `null` when there was no complete answer.
 */
export function isRepeatable(safety: RepeatSafety, status: number | null, shouldRetry: string | null): boolean {
  if (shouldRetry === "true" || shouldRetry === "false") return shouldRetry === "true";
  if (status === null) return safety !== "once";
  if (status === 429) return true;
  return safety === "read" && (status === 408 || status >= 500);
}

/**
 * Milliseconds before the next attempt: exponential back-off with full jitter, and never less than the server asked for.
 * `null` when the server asked for more than {@link maxRetryAfterMs}: an earlier request would only be refused again.
 * @param attempt The attempt that failed, from 1.
 */
export function retryDelayMs(attempt: number, retryAfterMs: number | null, random: () => number): number | null {
  if (retryAfterMs !== null && retryAfterMs > maxRetryAfterMs) return null;
  const backoffMs = random() * Math.min(maxBackoffMs, firstBackoffMs * 2 ** (attempt - 1));
  return Math.max(backoffMs, retryAfterMs ?? 0);
}

/** Reads `retry-after-ms`, else `Retry-After` (RFC 9110 section 10.2.3: seconds or a date), in milliseconds. */
export function readRetryAfterMs(headers: Headers, nowMs: number): number | null {
  const milliseconds = readNumber(headers.get("retry-after-ms"));
  if (milliseconds !== null) return milliseconds;
  const text = headers.get("retry-after");
  const seconds = readNumber(text);
  if (seconds !== null) return seconds * 1_000;
  // Date.parse also takes what is no HTTP date: "-5" would be a year.
  const date = text?.endsWith(" GMT") === true ? Date.parse(text) : Number.NaN;
  return Number.isNaN(date) ? null : Math.max(0, date - nowMs);
}

function readNumber(text: string | null): number | null {
  return text !== null && /^\d{1,15}(?:\.\d{1,6})?$/.test(text) ? Number(text) : null;
}
