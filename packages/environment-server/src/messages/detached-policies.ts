/**
 * The approval policies of messages whose turn is not known: their device has disconnected or has just come back, or there are too many
 * messages to follow them all. Such a message may belong to the turn that runs in its conversation, so its policy counts for that turn: until
 * the device reports that no turn runs and nothing waits there.
 */
import type { ApprovalPolicy } from "@letta-environments/schema";
import { type Conversation, conversationKey } from "../dialects/conversation.ts";
import type { StatusFrame, TurnFrame } from "../dialects/frame.ts";
import { dropOldest } from "../drop-oldest.ts";
import { maxFollowedMessages } from "../limits.ts";
import type { ConversationScope } from "../message-log.ts";

/** The policies of messages whose turn is not known. */
export interface DetachedPolicies {
  /** Takes the policy of a message. `hasBegun`: its turn has started, so it does not wait in the queue of the device. */
  detach(scope: ConversationScope, policy: ApprovalPolicy, hasBegun: boolean): void;
  /** Takes a report of a device. */
  receive(environmentId: string, frame: TurnFrame | StatusFrame): void;
  /** The policy that counts for the turn of a conversation; `null` for none. */
  of(environmentId: string, runtime: Conversation): ApprovalPolicy | null;
}

/** The policy that counts for a conversation, and what its device has reported since. */
interface Detached {
  policy: ApprovalPolicy;
  isIdle: boolean;
  hasQueue: boolean;
}

/** Creates {@link DetachedPolicies}. */
export function createDetachedPolicies(): DetachedPolicies {
  const byConversation = new Map<string, Detached>();

  return {
    detach(scope, policy, hasBegun) {
      const key = keyOf(scope.environmentId, scope);
      const known = byConversation.get(key);
      byConversation.delete(key);
      byConversation.set(key, {
        policy: known === undefined ? policy : combine(known.policy, policy),
        isIdle: false,
        hasQueue: known?.hasQueue === true || !hasBegun,
      });
      dropOldest(byConversation, maxFollowedMessages);
    },
    receive(environmentId, frame) {
      if (byConversation.size === 0 || frame.runtime === null) return;
      const key = keyOf(environmentId, frame.runtime);
      const detached = byConversation.get(key);
      if (detached === undefined) return;
      apply(detached, frame);
      if (detached.isIdle && !detached.hasQueue) byConversation.delete(key);
    },
    of: (environmentId, runtime) =>
      byConversation.size === 0 ? null : (byConversation.get(keyOf(environmentId, runtime))?.policy ?? null),
  };
}

function apply(detached: Detached, frame: TurnFrame | StatusFrame): void {
  switch (frame.kind) {
    case "turn_finished":
      detached.isIdle = true;
      return;
    case "update_loop_status":
      if (frame.activity !== null) detached.isIdle = frame.activity === "idle";
      return;
    case "update_queue": {
      // What leaves the queue starts a turn, which older devices do not report as a removal.
      const startsTurn = frame.removed?.some(({ disposition }) => disposition === "dequeued") ?? detached.hasQueue;
      if (startsTurn) detached.isIdle = false;
      detached.hasQueue = frame.messageIds.length > 0;
      return;
    }
    case "assistant_text":
    case "loop_error":
    case "control_request":
    case "update_device_status":
  }
}

function combine(left: ApprovalPolicy, right: ApprovalPolicy): ApprovalPolicy {
  const deadlines = [left.deadlineMs, right.deadlineMs].filter((deadlineMs) => deadlineMs !== null);
  return {
    deniedTools: [...new Set([...left.deniedTools, ...right.deniedTools])],
    deadlineMs: deadlines.length === 0 ? null : Math.min(...deadlines),
  };
}

function keyOf(environmentId: string, runtime: Conversation): string {
  return `${environmentId} ${conversationKey(runtime)}`;
}
