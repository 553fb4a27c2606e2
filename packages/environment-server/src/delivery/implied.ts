/**
 * Which devices acknowledge a send, and the acknowledgements that follow from the reports of the others about a conversation. A message in its queue
 * or in one of its runs has arrived, whatever the version. Versions before 0.30.3 report no runs, and since 0.25 no queue for a
 * message that starts a turn: then the start of a loop is the acknowledgement of the oldest send that waits for one, unless a queued message explains it.
 */
import type { EnvironmentMetadata } from "@letta-environments/schema";
import { type Conversation, conversationKey, isSameConversation } from "../dialects/conversation.ts";
import type { LoopFrame, QueueFrame } from "../dialects/frame.ts";
import { dropOldest } from "../drop-oldest.ts";
import { maxConversationsPerDevice } from "../limits.ts";
import type { PendingDelivery } from "./pending.ts";

/** Whether a device acknowledges an input with `input_accepted`. `unknown`: the registration has no version. */
export type AcknowledgementSupport = "yes" | "no" | "unknown";

/** The first version that does (2026-08-02). An older device runs the message, but shows it only in its queue or in the status of its loop. */
const firstAcknowledging = [0, 30, 3] as const;

/** Decides by the version that a device registered. Every released version registers its number. */
export function acknowledgementSupportOf(metadata: EnvironmentMetadata | null): AcknowledgementSupport {
  const version = metadata?.lettaCodeVersion;
  const match = typeof version === "string" ? /^(\d{1,6})\.(\d{1,6})\.(\d{1,6})(?:$|[-+.])/.exec(version) : null;
  if (match === null) return "unknown";
  for (const [index, first] of firstAcknowledging.entries()) {
    const part = Number(match[index + 1]);
    if (part !== first) return part > first ? "yes" : "no";
  }
  return "yes";
}

/** An acknowledgement that follows from a report. */
interface ImpliedAcknowledgement {
  readonly deliveryId: string;
  readonly disposition: "started" | "queued";
}

/** Returns the sends that have a message in a report. */
export function namedSends(
  frame: QueueFrame | LoopFrame,
  waiting: readonly PendingDelivery[],
): readonly ImpliedAcknowledgement[] {
  const candidates = waiting.filter((send) => isCandidate(send, frame.runtime));
  if (candidates.length === 0) return [];
  const queued = new Set(frame.kind === "update_queue" ? frame.messageIds : []);
  const left = frame.kind === "update_queue" ? (frame.removed ?? []) : [];
  for (const { messageId, disposition } of left) if (disposition === "cancelled") queued.add(messageId);
  const started = new Set(
    left.filter(({ disposition }) => disposition === "dequeued").map(({ messageId }) => messageId),
  );
  if (frame.kind === "update_loop_status")
    for (const { messageIds } of frame.runs ?? []) for (const messageId of messageIds) started.add(messageId);
  return candidates.flatMap(({ delivery: { id: deliveryId, messageIds } }): ImpliedAcknowledgement[] => {
    if (messageIds.some((messageId) => started.has(messageId))) return [{ deliveryId, disposition: "started" }];
    return messageIds.some((messageId) => queued.has(messageId)) ? [{ deliveryId, disposition: "queued" }] : [];
  });
}

/** Returns the send that started a loop of a device that does not acknowledge inputs; `null` when none waits. */
export function startedSend(
  conversation: Conversation,
  waiting: readonly PendingDelivery[],
): ImpliedAcknowledgement | null {
  const oldest = waiting.find((send) => isCandidate(send, conversation));
  return oldest === undefined ? null : { deliveryId: oldest.delivery.id, disposition: "started" };
}

function isCandidate(
  { isDecision, isSent, delivery: { scope } }: PendingDelivery,
  conversation: Conversation,
): boolean {
  return isSent && !isDecision && isSameConversation(scope, conversation);
}

/** The loop and the queue of a conversation, as they were reported last. */
interface Loop {
  isBusy: boolean;
  isQueueEmpty: boolean;
  /** The next turn is one of the queue: what was queued has not left it, or has left it since the last turn. */
  isNextQueued: boolean;
}

/**
 * Returns a function that takes the reports about the loops and queues of one device, and returns whether one is the start of a loop that its queue does
 * not explain: devices repeat reports, and a turn has several. The conversation that was reported first is forgotten first.
 */
export function createLoopStartDetector(): (frame: LoopFrame | QueueFrame) => boolean {
  const loops = new Map<string, Loop>();

  return (frame) => {
    const key = conversationKey(frame.runtime);
    const loop = loops.get(key) ?? { isBusy: false, isQueueEmpty: true, isNextQueued: false };
    loops.set(key, loop);
    dropOldest(loops, maxConversationsPerDevice);
    if (frame.kind === "update_queue") {
      loop.isQueueEmpty = frame.messageIds.length === 0;
      // What leaves the queue while no turn runs begins the next one. A device reports the two in either order.
      loop.isNextQueued = !loop.isQueueEmpty || (loop.isNextQueued && !loop.isBusy);
      return false;
    }
    if (frame.activity === null) return false;
    const isStart = frame.activity !== "idle" && !loop.isBusy;
    const isExplained = loop.isNextQueued;
    loop.isBusy = frame.activity !== "idle";
    if (isStart) loop.isNextQueued = !loop.isQueueEmpty;
    return isStart && !isExplained;
  };
}
