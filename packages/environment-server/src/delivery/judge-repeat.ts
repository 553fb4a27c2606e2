import type { DeliveryOutcome, KnownMessage } from "../ports.ts";

/** What the ids of a request say about it. */
export type RepeatVerdict =
  | { readonly kind: "new" }
  | { readonly kind: "repeat"; readonly deliveryId: string; readonly outcome: DeliveryOutcome | null }
  | { readonly kind: "conflict"; readonly messageIds: ReadonlySet<string> };

/**
 * Tells a new request from a repeated one. It is a repeat only when every id belongs to one earlier send with the same
 * content; when just some ids are known, or the content differs, sending would either run a message twice or lose one.
 */
export function judgeRepeat(
  messageIds: readonly string[],
  fingerprint: string,
  known: readonly KnownMessage[],
): RepeatVerdict {
  const [first] = known;
  if (first === undefined) return { kind: "new" };
  const repeat =
    known.length === messageIds.length &&
    known.every((message) => message.deliveryId === first.deliveryId && message.fingerprint === fingerprint);
  if (repeat) return { kind: "repeat", deliveryId: first.deliveryId, outcome: first.outcome };
  return { kind: "conflict", messageIds: new Set(known.map((message) => message.messageId)) };
}
