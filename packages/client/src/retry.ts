import type { ErrorCode } from "./error-codes.ts";

/**
 * Effect of the same request reaching the server twice. `read`: none. `deduplicated`: none, on a server that recognises message
 * ids. `once`: it may run twice, on any server.
 */
export type RepeatSafety = "read" | "deduplicated" | "once";

/** A failed attempt, as far as the decision to repeat it depends on it. */
export interface FailedAttempt {
  readonly safety: RepeatSafety;
  /** HTTP status; absent without a complete response. */
  readonly status?: number | undefined;
  readonly code?: ErrorCode | undefined;
  /** Response header `x-should-retry`. */
  readonly shouldRetry?: string | null | undefined;
  /** Whether the server has shown that it deduplicates messages. */
  readonly deduplicates: boolean;
}

/**
 * Response header of a server that recognises message ids: for how many seconds it remembers one. Same name as in the schema
 * package.
 */
export const messageDeduplicationHeader = "x-message-deduplication";

/** Longest `Retry-After` that the client waits for, in milliseconds. */
export const maxRetryAfterMs = 60_000;

/** Problem codes which say that the request was refused before anything was sent to a device. */
const undeliveredCodes: readonly ErrorCode[] = [
  "audit_unavailable",
  "issuer_unavailable",
  "key_store_unavailable",
  "limits_unavailable",
  "rate_limited",
  "shutting_down",
  "upstream_unreachable",
];

/** Whether response headers show that the server deduplicates messages. */
export const showsDeduplication = (headers: Headers): boolean => {
  const seconds = headers.get(messageDeduplicationHeader) ?? "";
  return /^\d+$/.test(seconds) && Number(seconds) > 0;
};

/**
 * Whether a failed attempt may be repeated. A send is repeated only when nothing was sent, which the problem code has to say, or
 * when the server deduplicates. `x-should-retry: true` of any other server does not change that.
 */
export const isRepeatable = ({ safety, status, code, shouldRetry, deduplicates }: FailedAttempt): boolean => {
  if (shouldRetry && shouldRetry !== "true") return false;
  if (safety !== "read" && !deduplicates) return isUndeliveredCode(code);
  if (shouldRetry) return true;
  if (status === undefined) return safety !== "once";
  return status === 429 || (safety === "read" ? status === 408 || status >= 500 : isUndeliveredCode(code));
};

/** Whether a failed send reached no device, as far as the response shows. Without a complete response it may have. */
export const isUndelivered = (attempt: FailedAttempt): boolean => {
  const { status = 0, code, deduplicates } = attempt;
  if (status < 300) return false;
  // 429 and 5xx also come from servers behind the one that took the message.
  const isRefusal = status < 500 && (status !== 429 || deduplicates);
  return isRefusal || code === "queue_full" || isUndeliveredCode(code) || isRepeatable(attempt);
};

const isUndeliveredCode = (code: ErrorCode | undefined): boolean =>
  code !== undefined && undeliveredCodes.includes(code);

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
