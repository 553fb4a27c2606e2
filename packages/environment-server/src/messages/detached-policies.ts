/**
 * Approval policies of messages whose turn is not known: their device has disconnected or just reconnected, or too many messages are followed. Such a
 * message may belong to the running turn of its conversation, so its policy applies to that turn until the device reports that the message is queued
 * or that its turn has ended.
 */
import type { Clock } from "@letta-environments/platform";
import type { ApprovalPolicy } from "@letta-environments/schema";
import { type Conversation, conversationKey } from "../dialects/conversation.ts";
import type { LoopFrame, QueueFrame, StatusFrame, TurnFrame } from "../dialects/frame.ts";
import { createGroups, dropOldest } from "../collections.ts";
import { maxFollowedMessages, maxFollowedPerRow, maxPolicyReadMs } from "../limits.ts";
import type { MessageProgress, StoredMessage } from "../message-log.ts";
import { createFollowedSends, type FollowedSend, groupByDelivery, type TrackedSend } from "./followed.ts";

export interface DetachedPolicies {
  /** Takes the policy of a send, if it has one. */
  detach(send: TrackedSend): void;
  /** Forgets the policy of a send, which has ended. */
  end(send: Pick<TrackedSend, "deliveryId" | "scope">): void;
  /** The device of a row has connected. What it reported before may have changed. */
  connect(environmentId: string): void;
  /** Takes a report of a device. */
  receive(environmentId: string, frame: TurnFrame | StatusFrame): void;
  /** The policies that apply to the running turn of a conversation. */
  ofRunningTurn(environmentId: string, conversation: Conversation): readonly ApprovalPolicy[];
  /** The policies of all these messages in a conversation, including queued ones. */
  ofConversation(environmentId: string, conversation: Conversation): readonly ApprovalPolicy[];
  /** Forgets the policies of a row that was removed. */
  forget(environmentId: string): void;
}

/**
 * The last known phase of a message that may not have ended. `idle`: no turn runs, so it is queued or has ended. `waiting`: in the device's queue.
 * `begun`: not queued, so it belongs to the running turn or has ended. `unknown`: nothing is known.
 */
type LastKnownPhase = "unknown" | "idle" | "waiting" | "begun";

interface Detached extends FollowedSend {
  readonly environmentId: string;
  readonly deliveryId: string;
  readonly conversation: string;
  readonly messageIds: readonly string[];
  readonly policy: ApprovalPolicy;
  phase: LastKnownPhase;
}

export function createDetachedPolicies(): DetachedPolicies {
  const rows = createGroups(({ deliveryId }: Detached) => deliveryId);
  const all = createFollowedSends<Detached>();

  function remove(detached: Detached | undefined): void {
    if (detached === undefined) return;
    all.delete(detached);
    rows.delete(detached.environmentId, detached.deliveryId);
  }

  function detachedIn(environmentId: string, conversation: Conversation): readonly Detached[] {
    const key = conversationKey(conversation);
    return rows.of(environmentId).filter((detached) => detached.conversation === key);
  }

  return {
    detach({ tenant, scope, deliveryId, messageIds, policy, status }) {
      const { environmentId } = scope;
      // The known phase takes later reports into account.
      if (policy === null || rows.find(environmentId, deliveryId) !== undefined) return;
      const conversation = conversationKey(scope);
      const send = { tenant, environmentId, deliveryId, conversation, messageIds, policy, status };
      const detached = { ...send, phase: phaseOf(status) };
      rows.add(environmentId, detached);
      all.set(detached);
      remove(rows.sizeOf(environmentId) > maxFollowedPerRow ? rows.firstOf(environmentId) : all.excess());
    },
    end: ({ deliveryId, scope }) => remove(rows.find(scope.environmentId, deliveryId)),
    connect(environmentId) {
      for (const detached of rows.of(environmentId)) if (detached.phase !== "begun") detached.phase = "unknown";
    },
    receive(environmentId, frame) {
      if (frame.runtime === null || rows.sizeOf(environmentId) === 0) return;
      for (const detached of detachedIn(environmentId, frame.runtime)) {
        const phase = phaseAfter(detached, frame);
        if (phase === null) remove(detached);
        else detached.phase = phase;
      }
    },
    ofRunningTurn: (environmentId, conversation) =>
      detachedIn(environmentId, conversation).flatMap(({ phase, policy }) => (phase === "waiting" ? [] : [policy])),
    ofConversation: (environmentId, conversation) =>
      detachedIn(environmentId, conversation).map(({ policy }) => policy),
    forget(environmentId) {
      for (const detached of rows.of(environmentId)) remove(detached);
    },
  };
}

function phaseOf({ state, disposition }: MessageProgress): LastKnownPhase {
  if (disposition === "started" || state === "running" || state === "waiting_for_approval") return "begun";
  return state === "accepted" && disposition === "queued" ? "waiting" : "unknown";
}

/** The phase of a message after a report of its conversation; `null` when it is over. */
function phaseAfter(detached: Detached, frame: TurnFrame | StatusFrame): LastKnownPhase | null {
  switch (frame.kind) {
    case "update_queue":
      return phaseAfterQueue(detached, frame);
    case "update_loop_status":
      return phaseAfterLoop(detached, frame);
    case "turn_finished":
      return phaseWhenIdle(detached);
    case "assistant_text":
    case "loop_error":
    case "control_request":
    case "update_device_status":
      return detached.phase;
  }
}

function phaseAfterQueue(
  { phase, messageIds: ids }: Detached,
  { messageIds, removed }: QueueFrame,
): LastKnownPhase | null {
  if (messageIds.some((id) => id !== null && ids.includes(id))) return "waiting";
  const removal = removed?.find(({ messageId }) => ids.includes(messageId));
  if (removal !== undefined) return removal.disposition === "dequeued" ? "begun" : null;
  return phase === "idle" ? null : "begun";
}

function phaseAfterLoop(detached: Detached, { activity, activeRunIds, runs }: LoopFrame): LastKnownPhase | null {
  const own = runs?.filter(({ messageIds }) => messageIds.some((id) => detached.messageIds.includes(id))) ?? [];
  if (activity === "idle") return own.length > 0 ? null : phaseWhenIdle(detached);
  if (own.some(({ runId }) => activeRunIds.includes(runId))) return "begun";
  return activity !== null && detached.phase === "idle" ? "unknown" : detached.phase;
}

function phaseWhenIdle({ phase }: Detached): LastKnownPhase | null {
  if (phase === "begun") return null;
  return phase === "unknown" ? "idle" : phase;
}

interface PolicyReader {
  /** Calls `onRead` with the messages of a row. Resolves when they have been read, or cannot be read for now. Never rejects. */
  read(environmentId: string, tenant: string, onRead: (send: TrackedSend) => void): Promise<void>;
  /** A device has connected. Returns whether the messages of its row were read before. */
  take(environmentId: string): boolean;
}

/**
 * Reads the approval policies of the messages of a row before its device connects, so that they apply to the first request for permission. A store that
 * is slow or fails does not keep the device from connecting: then its requests wait until its messages have been read.
 */
export function createPolicyReader({
  clock,
  findOpenMessages,
}: {
  readonly clock: Pick<Clock, "setTimer">;
  /** Rejects when the store fails. */
  readonly findOpenMessages: (environmentId: string) => Promise<readonly StoredMessage[]>;
}): PolicyReader {
  const rows = new Set<string>();
  return {
    async read(environmentId, tenant, onRead) {
      rows.delete(environmentId);
      const isLate = Promise.withResolvers<null>();
      const cancel = clock.setTimer(maxPolicyReadMs, () => isLate.resolve(null));
      // The failure is reported when they are read after the device has connected.
      const reading = findOpenMessages(environmentId).catch(() => null);
      const stored = await Promise.race([reading, isLate.promise]);
      cancel();
      if (stored === null) return;
      for (const send of groupByDelivery(stored, tenant)) onRead(send);
      rows.add(environmentId);
      dropOldest(rows, maxFollowedMessages);
    },
    take: (environmentId) => rows.delete(environmentId),
  };
}
