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
 * @param status HTTP status; absent when there was no complete answer.
 */
export const isRepeatable = (safety: RepeatSafety, status?: number, shouldRetry?: string | null): boolean => {
  if (shouldRetry) return shouldRetry === "true";
  if (status === undefined) return safety !== "once";
  return status === 429 || (safety === "read" && (status === 408 || status >= 500));
};

/**
 * Reads `retry-after-ms`, else `Retry-After` (RFC 9110 section 10.2.3: seconds or a date), in milliseconds; `undefined` when neither asks
 * to wait.
 */
export const readRetryAfterMs = (headers: Headers, nowMs: number): number | undefined => {
  // Absent it is neither a number nor a date.
  const text = headers.get("retry-after") as string;
  const askedMs = Number(headers.get("retry-after-ms")) || Number(text) * 1_000 || Date.parse(text) - nowMs;
  return askedMs > 0 ? askedMs : undefined;
};
