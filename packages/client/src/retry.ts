/**
 * What happens when a request reaches the server twice.
 * `read`: nothing. `deduplicated`: the server recognises the message ids. `once`: it may be done twice.
 */
export type RepeatSafety = "read" | "deduplicated" | "once";

/** Longest delay that is waited for on a server's word, in milliseconds. */
export const maxRetryAfterMs = 60_000;

/**
 * Tells whether a failed request may be repeated. `x-should-retry` decides where the server sent it. Else a send is repeated
 * only after 429, when nothing was done, and after a broken connection, when its message ids keep it from running twice.
 * @param status HTTP status; `null` when there was no complete answer.
 */
export function isRepeatable(safety: RepeatSafety, status: number | null, shouldRetry?: string | null): boolean {
  if (shouldRetry === "true" || shouldRetry === "false") return shouldRetry === "true";
  if (status === null) return safety !== "once";
  return status === 429 || (safety === "read" && (status === 408 || status >= 500));
}

/**
 * Milliseconds before the next attempt: exponential back-off with full jitter (500 ms, doubled up to 8 s), and never less than
 * the server asked for. `Infinity` when it asked for more than {@link maxRetryAfterMs}: an earlier request would only be refused again.
 * @param attempt The attempt that failed, from 1.
 */
export function retryDelayMs(attempt: number, retryAfterMs: number | null, random: () => number): number {
  const askedMs = retryAfterMs ?? 0;
  return askedMs > maxRetryAfterMs ? Infinity : Math.max(random() * Math.min(8_000, 250 * 2 ** attempt), askedMs);
}

/** Reads `retry-after-ms`, else `Retry-After` (RFC 9110 section 10.2.3: seconds or a date), in milliseconds. */
export function readRetryAfterMs(headers: Headers, nowMs: number): number | null {
  const text = headers.get("retry-after") ?? "";
  const askedMs = Number(headers.get("retry-after-ms")) || Number(text) * 1_000 || Date.parse(text) - nowMs;
  return Number.isNaN(askedMs) ? null : Math.max(0, askedMs);
}
