/**
 * Recognises requests whose message ids have been used before, and builds the responses for outcomes, including bodies that were delivered only
 * in part. A message id is sent at most once; a repeat receives the outcome of the first send.
 */
import { jsonResponse, type PlainResponse, type ProblemIssue, problemResponse } from "@letta-environments/schema";
import type { DeliveryOutcome, KnownMessage } from "../ports.ts";
import { type DeliveryPart, isKeyId, messageIdIssues } from "./plan.ts";

/** Classification of a request by its message ids. */
type RepeatClass =
  | { readonly kind: "new" }
  | { readonly kind: "repeat"; readonly deliveryId: string; readonly outcome: DeliveryOutcome | null }
  /** The `Idempotency-Key` was used for another body: 422 `message_id_reused`. */
  | { readonly kind: "key_conflict" }
  /** Ids were used for other content, or only some are known: 422 `message_id_reused`, or 409 `approval_decided` for a decision. */
  | { readonly kind: "conflict"; readonly messageIds: ReadonlySet<string> };

/**
 * Classifies a part of a request. It is a repeat only when all its ids belong to one earlier send with the same content. When only
 * some ids are known, or the content differs, sending would run a message twice or lose one. A new `Idempotency-Key` with known
 * ids does not make it another request.
 */
export function classifyRepeat(
  { messageIds, keyIds, fingerprint }: Pick<DeliveryPart, "messageIds" | "keyIds" | "fingerprint">,
  known: readonly KnownMessage[],
): RepeatClass {
  const [first] = known;
  if (first === undefined) return { kind: "new" };
  const isKnown = (id: string): boolean => known.some(({ messageId }) => messageId === id);
  if (keyIds !== null && isKnown(keyIds.key) && !isKnown(keyIds.keyAndBody)) return { kind: "key_conflict" };
  const content = known.filter(({ messageId }) => !isKeyId(messageId));
  const isRepeat =
    content.length === messageIds.length &&
    content.every((message) => message.deliveryId === first.deliveryId && message.fingerprint === fingerprint);
  if (isRepeat) return { kind: "repeat", deliveryId: first.deliveryId, outcome: first.outcome };
  return { kind: "conflict", messageIds: new Set(content.map((message) => message.messageId)) };
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

/** The members of a problem that {@link partialResponse} reads. */
interface PartProblem {
  readonly errorCode: string;
  readonly detail: string;
  readonly errors?: readonly ProblemIssue[];
}

/** The result of a part whose caller disconnected before it was sent. Its code only carries the text: it is logged, and nobody receives it. */
export const unsentAfterDisconnect: PlainResponse = problemResponse("input_rejected", {
  detail: "The caller disconnected before it was sent.",
});

/**
 * Builds the response to a body if only its first parts were delivered: 504 `delivery_unknown` if the failed part may have been delivered too, else 409
 * `input_rejected`. Clients do not retry either one automatically, as they do after the codes of ordinary refusals, which promise that nothing was sent.
 * The member `parts` has the code of the part that failed, and `errors` names its members of the request.
 *
 * @param response the response to the part that failed: a problem
 */
export function partialResponse(
  response: PlainResponse,
  deliveredCount: number,
  parts: readonly DeliveryPart[],
): PlainResponse {
  const { errorCode, detail, errors }: PartProblem = JSON.parse(String(response.body));
  const count = parts.length;
  const failed = parts[deliveredCount];
  const issues = errors ?? (failed && messageIdIssues(failed, `is in the part that ended with ${errorCode}`));
  // That is true of this part only.
  const text = detail.replace(/[.;] nothing was (?:sent|changed)\./i, ".");
  return problemResponse(errorCode === "delivery_unknown" ? "delivery_unknown" : "input_rejected", {
    detail:
      `${deliveredCount} of ${count} parts of the body were delivered. The next one ended with ${errorCode}: ` +
      `${/[.!?]$/.test(text) ? text : `${text}.`} ` +
      `A repeat of the same body does not deliver ${deliveredCount === 1 ? "this part" : "these parts"} again.`,
    ...(issues !== undefined && { issues }),
    members: { parts: { count, delivered: deliveredCount, errorCode } },
  });
}
