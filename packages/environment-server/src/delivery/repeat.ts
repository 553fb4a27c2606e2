/**
 * Recognises requests whose message ids have been used before, and builds the responses for outcomes. A message id is sent
 * at most once; a repeat receives the outcome of the first send.
 */
import { jsonResponse, type PlainResponse, problemResponse } from "@letta-environments/schema";
import type { DeliveryOutcome, KnownMessage } from "../ports.ts";

/** Classification of a request by its message ids. */
export type RepeatClass =
  | { readonly kind: "new" }
  | { readonly kind: "repeat"; readonly deliveryId: string; readonly outcome: DeliveryOutcome | null }
  | { readonly kind: "conflict"; readonly messageIds: ReadonlySet<string> };

/**
 * Classifies a request. It is a repeat only when all its ids belong to one earlier send with the same content. When only some
 * ids are known, or the content differs, sending would run a message twice or lose one.
 */
export function classifyRepeat(
  messageIds: readonly string[],
  fingerprint: string,
  known: readonly KnownMessage[],
): RepeatClass {
  const [first] = known;
  if (first === undefined) return { kind: "new" };
  const isRepeat =
    known.length === messageIds.length &&
    known.every((message) => message.deliveryId === first.deliveryId && message.fingerprint === fingerprint);
  if (isRepeat) return { kind: "repeat", deliveryId: first.deliveryId, outcome: first.outcome };
  return { kind: "conflict", messageIds: new Set(known.map((message) => message.messageId)) };
}

/** Returns the response for an outcome. `replayed` adds `Idempotency-Replayed: true`, for the outcome of an earlier request. */
export function outcomeResponse(outcome: DeliveryOutcome, replayed: boolean): PlainResponse {
  const headers = replayed ? { "idempotency-replayed": "true" } : {};
  switch (outcome.kind) {
    case "accepted": {
      const { disposition } = outcome;
      const message = `Message accepted by the device${disposition === null ? "" : ` (${disposition})`}.`;
      return jsonResponse(200, { success: true, message, ...(disposition !== null && { disposition }) }, headers);
    }
    case "rejected":
      return problemResponse("input_rejected", { ...(outcome.error !== null && { detail: outcome.error }), headers });
    case "unknown":
      return problemResponse("delivery_unknown", { headers });
  }
}
