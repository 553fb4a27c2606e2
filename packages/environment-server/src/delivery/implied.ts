/**
 * Which devices acknowledge a send, and the acknowledgements that follow from the reports of the others about a conversation. A message in its queue
 * or in one of its runs has arrived, whatever the version. Versions before 0.30.28 do not say which messages are in which run. From 0.25 to 0.30.2 they
 * also report no queue for a message that starts a turn; for these the start of a loop acknowledges the oldest send that waits, unless the start is
 * explained by a message in the queue: the send was already on its way when the previous turn ended with a queue, or the device, while idle, queued a
 * message less than a second ago.
 */
import type { EnvironmentMetadata } from "@letta-environments/schema";
import { type Conversation, conversationKey, isSameConversation } from "../dialects/conversation.ts";
import type { LoopFrame, QueueFrame } from "../dialects/frame.ts";
import { dropOldest } from "../collections.ts";
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

function isCandidate(
  { isDecision, sentAtMs, delivery: { scope } }: PendingDelivery,
  conversation: Conversation,
): boolean {
  return sentAtMs !== null && !isDecision && isSameConversation(scope, conversation);
}

/** The loop and the queue of a conversation, as they were reported last. */
interface Loop {
  readonly isBusy: boolean;
  /** Ids of the messages in the queue. */
  readonly queued: readonly (string | null)[];
  /** When a message was queued while the loop was idle, in monotonic milliseconds: some devices queue every message, and start a moment later. */
  readonly queuedIdleAtMs: number;
  /**
   * Ids of the sends that were on their way when the loop became idle with a queue: the queue was there first, so the next turn is not theirs. A later
   * send is: a device takes the next item at once, or it has paused its queue.
   */
  readonly laterThanQueue: ReadonlySet<string>;
}

const noSends: ReadonlySet<string> = new Set();
const firstLoop: Loop = {
  isBusy: false,
  queued: [],
  queuedIdleAtMs: Number.NEGATIVE_INFINITY,
  laterThanQueue: noSends,
};

/** How long a message that an idle device has queued explains a start, in milliseconds. The recorded devices start after 10 ms. */
const queuedStartMs = 1_000;

/**
 * Returns a function that takes the reports about the loops and queues of one device, with the sends that wait, and returns the send that has started a
 * loop; `null` when none has: devices repeat reports, a turn has several, and a queued message may explain it. The conversation that was reported first
 * is forgotten first.
 */
export function createStartDetector(): (
  frame: LoopFrame | QueueFrame,
  waiting: readonly PendingDelivery[],
  nowMs: number,
) => ImpliedAcknowledgement | null {
  const loops = new Map<string, Loop>();

  return (frame, waiting, nowMs) => {
    const key = conversationKey(frame.runtime);
    const loop = loops.get(key) ?? firstLoop;
    const set = (change: Partial<Loop>): void => {
      dropOldest(loops.set(key, { ...loop, ...change }), maxConversationsPerDevice);
    };
    if (frame.kind === "update_queue") {
      const isQueuedIdle = !loop.isBusy && frame.messageIds.some((id) => !loop.queued.includes(id));
      set({ queued: frame.messageIds, ...(isQueuedIdle && { queuedIdleAtMs: nowMs }) });
      return null;
    }
    const isBusy = frame.activity === null ? loop.isBusy : frame.activity !== "idle";
    if (isBusy === loop.isBusy) return null;
    const candidates = waiting.filter((send) => isCandidate(send, frame.runtime)).map(({ delivery }) => delivery.id);
    const laterThanQueue = isBusy || loop.queued.length === 0 ? noSends : new Set(candidates);
    set({ isBusy, laterThanQueue, queuedIdleAtMs: firstLoop.queuedIdleAtMs });
    const [oldest] = candidates;
    if (!isBusy || oldest === undefined) return null;
    const isExplained = loop.laterThanQueue.has(oldest) || nowMs - loop.queuedIdleAtMs < queuedStartMs;
    return isExplained ? null : { deliveryId: oldest, disposition: "started" };
  };
}
