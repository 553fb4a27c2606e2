/**
 * A bounded set of requests for permission of connected devices that are known but not pending. Once a device has as many members as it may have
 * pending requests, the conversation of any other request counts as a whole: all its requests are members until the device lists none there.
 */
import { type ApprovalKey, serialiseKey } from "../approval-log.ts";
import { type Conversation, conversationKey, isSameConversation } from "../dialects/conversation.ts";
import { maxApprovalsPerDevice } from "../limits.ts";

/** A bounded set of requests. */
export interface RequestSet {
  add(key: ApprovalKey): void;
  /** Whether a request is a member, or could be one that was not remembered. */
  has(key: ApprovalKey): boolean;
  delete(key: ApprovalKey): void;
  /** A conversation asks only for these tool calls. */
  keepOnly(environmentId: string, conversation: Conversation, toolCallIds: ReadonlySet<string>): void;
  disconnect(environmentId: string): void;
}

/** The members of a row by their keys, and its conversations that have more. */
interface Row {
  readonly members: Map<string, ApprovalKey>;
  readonly overfull: Set<string>;
}

export function createRequestSet(): RequestSet {
  const rows = new Map<string, Row>();

  function forgetIfEmpty(environmentId: string, { members, overfull }: Row): void {
    if (members.size === 0 && overfull.size === 0) rows.delete(environmentId);
  }

  return {
    add(key) {
      const { environmentId } = key.scope;
      const row = rows.get(environmentId) ?? { members: new Map(), overfull: new Set() };
      rows.set(environmentId, row);
      if (row.members.size < maxApprovalsPerDevice) row.members.set(serialiseKey(key), key);
      else row.overfull.add(conversationKey(key.scope));
    },
    has(key) {
      const row = rows.get(key.scope.environmentId);
      return row !== undefined && (row.members.has(serialiseKey(key)) || row.overfull.has(conversationKey(key.scope)));
    },
    delete(key) {
      const row = rows.get(key.scope.environmentId);
      if (row?.members.delete(serialiseKey(key)) === true) forgetIfEmpty(key.scope.environmentId, row);
    },
    keepOnly(environmentId, conversation, toolCallIds) {
      const row = rows.get(environmentId);
      if (row === undefined) return;
      for (const [text, { scope, toolCallId }] of [...row.members]) {
        if (isSameConversation(scope, conversation) && !toolCallIds.has(toolCallId)) row.members.delete(text);
      }
      if (toolCallIds.size === 0) row.overfull.delete(conversationKey(conversation));
      forgetIfEmpty(environmentId, row);
    },
    disconnect: (environmentId) => void rows.delete(environmentId),
  };
}
