/**
 * A bounded set of requests for permission of connected devices that are known but not pending. Once a device has as many members as it may have
 * pending requests, the conversation of any other request counts as a whole: all its requests are members until the device lists none there.
 */
import { type ApprovalKey, serialiseKey } from "../approval-log.ts";
import { type Conversation, conversationKey, isSameConversation } from "../dialects/conversation.ts";
import { createGroups } from "../collections.ts";
import { maxApprovalsPerDevice } from "../limits.ts";

export interface RequestSet {
  add(key: ApprovalKey): void;
  /** Whether a request is a member, or could be one that was not remembered. */
  has(key: ApprovalKey): boolean;
  delete(key: ApprovalKey): void;
  /** A conversation asks only for these tool calls. */
  keepOnly(environmentId: string, conversation: Conversation, toolCallIds: ReadonlySet<string>): void;
  disconnect(environmentId: string): void;
}

export function createRequestSet(): RequestSet {
  const members = createGroups(serialiseKey);
  /** The conversations of each row that have more. */
  const overfull = createGroups<string>();
  return {
    add(key) {
      const { environmentId } = key.scope;
      if (members.sizeOf(environmentId) < maxApprovalsPerDevice) members.add(environmentId, key);
      else overfull.add(environmentId, conversationKey(key.scope));
    },
    has(key) {
      const { environmentId } = key.scope;
      const isMember = members.find(environmentId, serialiseKey(key)) !== undefined;
      return isMember || overfull.find(environmentId, conversationKey(key.scope)) !== undefined;
    },
    delete: (key) => void members.delete(key.scope.environmentId, serialiseKey(key)),
    keepOnly(environmentId, conversation, toolCallIds) {
      for (const key of members.of(environmentId)) {
        const isOver = isSameConversation(key.scope, conversation) && !toolCallIds.has(key.toolCallId);
        if (isOver) members.delete(environmentId, serialiseKey(key));
      }
      if (toolCallIds.size === 0) overfull.delete(environmentId, conversationKey(conversation));
    },
    disconnect(environmentId) {
      members.clear(environmentId);
      overfull.clear(environmentId);
    },
  };
}
