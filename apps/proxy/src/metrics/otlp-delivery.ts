/**
 * Decides whether a push is repeated, as the OTLP/HTTP specification (1.5, "Failures" and "Throttling") requires: after 429, 502, 503 and 504, and
 * without a response, with exponential backoff and jitter; `Retry-After` is obeyed; every other error status is final.
 */
import type { PlainHeaders } from "@letta-environments/schema";
import { parseJsonObject } from "../lib/json.ts";
import { parseRetryAfter } from "../upstream/retry.ts";

/** The response of a receiver; `null` if none came. */
export type ReceiverResponse = { readonly status: number; readonly headers: PlainHeaders } | null;

/** Why data did not reach the receiver. `rejected`: it accepted the push but rejected a part of it. `expired`: it did not accept it in time. */
export type DropReason = "queue_full" | "refused" | "rejected" | "expired" | "stopped";

/** The decision on a push. `dropped`: it is not repeated. `pauseMs`: nothing may be sent earlier. */
export type PushDecision =
  | { readonly kind: "delivered" }
  | { readonly kind: "dropped"; readonly reason: "refused" | "expired"; readonly pauseMs: number }
  | { readonly kind: "repeat"; readonly pauseMs: number };

/** The state of a queue of pushes. */
export interface PushSituation {
  /** Number of consecutive failures of the receiver, including this one. */
  readonly failures: number;
  /** How long the push has waited, in milliseconds. */
  readonly ageMs: number;
  /** Wall time in epoch milliseconds, for a `Retry-After` with a date. */
  readonly nowMs: number;
  /** From 0 up to, but not including, 1. */
  readonly random: number;
}

/** The longest time that a push waits, in milliseconds. */
export const maxPushAgeMs = 300_000;

/** The delay after the first failure, in milliseconds. It doubles with each one. */
const firstDelayMs = 1_000;
const maxDelayMs = 30_000;

const repeatable: ReadonlySet<number> = new Set([429, 502, 503, 504]);

/** Decides whether a push was delivered, is repeated or is dropped. */
export function decidePush(response: ReceiverResponse, situation: PushSituation): PushDecision {
  const { failures, ageMs, nowMs, random } = situation;
  if (response !== null && response.status >= 200 && response.status < 300) return { kind: "delivered" };
  if (response !== null && !repeatable.has(response.status)) return { kind: "dropped", reason: "refused", pauseMs: 0 };
  const bound = Math.min(maxDelayMs, firstDelayMs * 2 ** Math.min(failures - 1, 10));
  // At least half of the bound, and never before the receiver allows it.
  const jitter = Math.floor((bound / 2) * random);
  const retryAfterMs = response === null ? null : parseRetryAfter(response.headers, nowMs);
  const pauseMs = retryAfterMs === null ? bound / 2 + jitter : retryAfterMs + jitter;
  return ageMs + pauseMs > maxPushAgeMs ? { kind: "dropped", reason: "expired", pauseMs } : { kind: "repeat", pauseMs };
}

/** Returns how many items of an accepted push the receiver rejected (`partialSuccess`). They must not be repeated. */
export function rejectedItems(body: string): number {
  const partial = parseJsonObject(body)?.["partialSuccess"];
  if (typeof partial !== "object" || partial === null) return 0;
  const { rejectedSpans, rejectedDataPoints } = partial as Readonly<Record<string, unknown>>;
  // The JSON encoding writes 64-bit integers as text.
  const count = Number(rejectedSpans ?? rejectedDataPoints ?? 0);
  return Number.isSafeInteger(count) && count > 0 ? count : 0;
}
