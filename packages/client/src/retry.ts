/**
 * Decides whether a failed attempt is repeated, and what is known about its delivery. Reads are repeated after every failure
 * that may pass. A send is repeated only when the response shows that no device received it, or when the server has shown that
 * it recognises message ids; otherwise the message could run twice. Deduplication covers neither decisions nor commands.
 */
import type { DeliveredParts } from "@letta-environments/schema";
import { isText } from "@letta-environments/schema/guards";
import type { ErrorCode } from "./error.ts";

/**
 * Effect of the same request reaching the server twice. `read`: none. `deduplicated`: none on a server that recognises message
 * ids. `once`: no server recognises a repeat, so the request must be sent once.
 */
export type RepeatSafety = "read" | "deduplicated" | "once";

/** The facts of a failed attempt that the decision depends on. */
export interface FailedAttempt {
  readonly safety: RepeatSafety;
  /** HTTP status; absent without a complete response. */
  readonly status?: number | undefined;
  readonly code: ErrorCode;
  /** Response header `x-should-retry`. */
  readonly shouldRetry?: string | null | undefined;
  /** Member `delivery` of the problem: whether the message may have been delivered, where the server knows. */
  readonly delivery?: string | undefined;
  /** Member `parts` of the problem, unchecked: how much of a body of several parts was delivered. */
  readonly parts?: Partial<DeliveredParts> | null | undefined;
  /** Member `type` of the problem, unchecked. */
  readonly type?: unknown;
  /** Text of the error. */
  readonly message?: string | undefined;
  /** Whether the server has shown that it recognises the ids of this send until the end of the call. */
  readonly deduplicates: boolean;
}

/**
 * Returns whether a failed attempt may be repeated without running anything twice. Without a complete response there is no `status`. The section
 * "Retries" in this package's README lists every case.
 */
export function isRepeatable({
  safety,
  status,
  code,
  shouldRetry,
  delivery,
  parts,
  deduplicates,
}: FailedAttempt): boolean {
  if (code === "aborted" || (shouldRetry && shouldRetry !== "true")) return false;
  const mayBeDelivered = delivery === "unknown";
  if (safety !== "read") {
    if (parts?.delivered) return false;
    if (!mayBeDelivered && undeliveredCodes.includes(code)) return true;
    // `x-should-retry: true` counts only if the server deduplicates this request, because any other server may send it, too. A full queue stays full
    // while turns run.
    if (!deduplicates || code === "queue_full") return false;
  }
  if (status === 429 && !mayBeDelivered) return true;
  if (safety === "once") return false;
  if (status === undefined || (shouldRetry && status >= 400)) return true;
  return safety === "read" && (status === 408 || status >= 500);
}

/**
 * Whether a failed send reached no device, as far as its response shows. Without a complete response it may have. The gateway decides
 * this about its upstream in `send-outcome.ts`.
 */
export function isUndelivered(attempt: FailedAttempt): boolean {
  const { status = 0, code, deduplicates, delivery, parts, type, message } = attempt;
  if (delivery === "unknown" || parts?.delivered) return false;
  // RFC 9110 sections 15.4.8 and 15.4.9. Before any other redirect, the request may have been carried out; a browser hides which redirect it is.
  if (status < 400) return status === 307 || status === 308;
  // Another server may give up on a request that it has forwarded, and its 409 may be about an earlier one.
  const isClear =
    absenceCodes.includes(code) || isOfThisApi(type) || message?.includes("Remote environment is offline");
  if ([408, 409, 499].includes(status) && !isClear) return false;
  // A 429 or 5xx may come from another server that the message passed through after its delivery.
  const isRefusal = status < 500 && (status !== 429 || deduplicates);
  return isRefusal || code === "queue_full" || undeliveredCodes.includes(code) || isRepeatable(attempt);
}

/** Problem codes of a send to a connection that the device no longer has, although a list may still show it. */
export const absenceCodes: readonly ErrorCode[] = ["device_offline", "connection_replaced", "connection_not_found"];

/** Whether a problem has a `type` of this project. It may come from any server, so it may be anything. */
export function isOfThisApi(type: unknown): boolean {
  return isText(type) && type.startsWith("urn:letta-environments:problem:");
}

/**
 * Problem codes that mean that no device received anything, and that a later attempt may succeed. The gateway's `undeliveredServerErrors` means only
 * the former, so it also has codes that a retry cannot fix, and none below 500.
 */
const undeliveredCodes: readonly ErrorCode[] = [
  "audit_unavailable",
  "idempotency_unavailable",
  "issuer_unavailable",
  "key_store_unavailable",
  "limits_unavailable",
  "overloaded",
  "rate_limited",
  "shutting_down",
  "storage_unavailable",
  "upstream_timeout",
  "upstream_unreachable",
];

/**
 * Response header of a server that recognises message ids; its value is the number of seconds for which it remembers one. Also
 * exported by the schema package, but from a module that loads valibot, which clients do not need.
 */
export const messageDeduplicationHeader = "x-message-deduplication";

/** How long the server remembers message ids, according to response headers, in milliseconds; `undefined` if they do not say. */
export function readDeduplicationMs(headers: Headers): number | undefined {
  const seconds = headers.get(messageDeduplicationHeader) ?? "";
  return /^\d+$/.test(seconds) ? Number(seconds) * 1_000 : undefined;
}

/**
 * Longest delay requested by a server that the client waits for, in milliseconds. If a server asks for a longer delay, its error is thrown
 * immediately.
 */
export const maxRetryAfterMs = 60_000;

/**
 * Reads `retry-after-ms`, else `Retry-After` (RFC 9110 section 10.2.3: seconds or a date).
 *
 * @returns Milliseconds, or `undefined` if neither header asks for a delay.
 */
export function readRetryAfterMs(headers: Headers, nowMs: number): number | undefined {
  const text = headers.get("retry-after");
  // Each HTTP date is in GMT, but the format of `asctime` does not say so. For the other formats a second `GMT` changes nothing.
  const delayMs = Number(headers.get("retry-after-ms")) || Number(text) * 1_000 || Date.parse(`${text} GMT`) - nowMs;
  return delayMs > 0 ? delayMs : undefined;
}

/**
 * Exponential back-off with full jitter, up to 8 seconds, in milliseconds. It comes on top of the delay that the server asked for, which is
 * the same for all clients.
 */
export function backOffMs(attempt: number, random: number): number {
  return random * Math.min(8_000, 250 * 2 ** attempt);
}
