/**
 * The life of a message as a state machine. `advance` is pure: it takes a status and a piece of evidence, and returns the next status,
 * or the same object when the evidence adds nothing. A state only moves forward, except that `unknown` can become known again, and that a start which a
 * device did not report itself is taken back when its queue names the message.
 */
import { hasEnded } from "@letta-environments/schema";
import type { MessageState, MessageProgress } from "../message-log.ts";
import type { DeliveryOutcome } from "../ports.ts";

/** A fact about a message. All except `sent` and `lost` come from its device. */
export type Evidence =
  | { readonly kind: "sent" }
  | Exclude<DeliveryOutcome, { readonly kind: "unknown" }>
  | { readonly kind: "queued" }
  /** It is queued, so the turn that it was assumed to have begun is not its own. */
  | { readonly kind: "requeued" }
  | { readonly kind: "running" }
  | { readonly kind: "waiting" }
  | ({
      readonly kind: "ended";
      /** {@link unknownReason} when the device did not report it. */
      readonly stopReason: string;
    } & Pick<MessageProgress, "error" | "usage" | "durationMs" | "reply">)
  /** An error that the device reported after the end of the turn. */
  | { readonly kind: "error"; readonly stopReason: string | null; readonly error: string }
  | { readonly kind: "removed" }
  | { readonly kind: "evicted" }
  /** The device can no longer be asked, or did not answer. */
  | { readonly kind: "lost" };

/** Returns the evidence that the outcome of a send gives about its messages. */
export function evidenceOf(outcome: DeliveryOutcome): Evidence {
  return outcome.kind === "unknown" ? { kind: "lost" } : outcome;
}

/** The reason of a turn whose reason was not reported. */
export const unknownReason = "unknown";

/** The status of a message that was stored and not written yet. */
export const receivedStatus: MessageProgress = {
  state: "received",
  disposition: null,
  stopReason: null,
  error: null,
  usage: null,
  durationMs: null,
  reply: null,
};

/** The progress of a message. A turn moves between `running` and `waiting_for_approval`. */
const ranks: Readonly<Record<MessageState, number>> = {
  unknown: 0,
  received: 0,
  sent: 1,
  accepted: 2,
  running: 3,
  waiting_for_approval: 3,
  finished: 4,
  cancelled: 4,
  evicted: 4,
  failed: 4,
};

/** Returns the status after a piece of evidence; see the description of this file. */
export function advance(status: MessageProgress, evidence: Evidence): MessageProgress {
  if (hasEnded(status)) return completeEnd(status, evidence);
  switch (evidence.kind) {
    case "sent":
      return status.state === "received" ? { ...status, state: "sent" } : status;
    case "accepted":
      return accept(status, evidence.disposition);
    case "queued":
      return accept(status, "queued");
    case "requeued":
      return { ...status, state: "accepted", disposition: "queued" };
    case "rejected":
      // A device that has started a turn with a message did not reject it.
      return ranks[status.state] > ranks.sent ? status : { ...status, state: "failed", error: evidence.error };
    case "running":
      return move(status, "running");
    case "waiting":
      return move(status, "waiting_for_approval");
    case "ended":
      return end(status, evidence);
    case "removed":
      return { ...status, state: "cancelled" };
    case "evicted":
      return { ...status, state: "evicted" };
    case "lost":
      return move(status, "unknown");
    case "error":
      return status;
  }
}

function accept(status: MessageProgress, disposition: string | null): MessageProgress {
  const known = status.disposition ?? disposition;
  const state = ranks[status.state] < ranks.accepted ? "accepted" : status.state;
  return state === status.state && known === status.disposition ? status : { ...status, state, disposition: known };
}

function move(status: MessageProgress, state: MessageState): MessageProgress {
  return status.state === state ? status : { ...status, state };
}

function end(
  status: MessageProgress,
  { kind: _kind, ...outcome }: Evidence & { readonly kind: "ended" },
): MessageProgress {
  return { ...status, ...outcome, state: outcome.stopReason === "cancelled" ? "cancelled" : "finished" };
}

/** Adds the reason of a turn that was known to have ended. Nothing else changes after the end. */
function completeEnd(status: MessageProgress, evidence: Evidence): MessageProgress {
  if (status.state !== "finished" || status.stopReason !== unknownReason) return status;
  if (evidence.kind === "ended" && evidence.stopReason !== unknownReason) {
    const { durationMs, reply, error } = evidence;
    return end(status, {
      ...evidence,
      durationMs: durationMs ?? status.durationMs,
      reply: reply ?? status.reply,
      error: error ?? status.error,
    });
  }
  if (evidence.kind === "error") {
    return { ...status, stopReason: evidence.stopReason ?? unknownReason, error: evidence.error };
  }
  return status;
}
