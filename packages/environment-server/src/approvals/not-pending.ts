/** Requests for permission of connected devices that are known but not pending. */
import { type ApprovalKey, serialiseKey } from "../approval-log.ts";
import { createGroups } from "../collections.ts";
import { type Conversation, conversationKey, isSameConversation } from "../dialects/conversation.ts";
import { maxApprovals, maxApprovalsPerDevice } from "../limits.ts";
import type { ReportedRequest } from "./pending.ts";

/**
 * A bounded set of such requests. Once a device has as many members as it may have pending requests, the conversation of any other request counts as a
 * whole: all its requests are members until the device lists none there.
 */
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

/** A request as its device asked for it last. */
export interface HeldRequest extends ReportedRequest {
  readonly key: ApprovalKey;
  /** When its device asked first. */
  readonly requestedAt: number;
}

/**
 * Connected rows whose messages have not been read since they connected, so that the policies of their turns are not known. Their new requests are held:
 * nobody can list, allow or deny them before the messages have been read. A request beyond the limits is not held; it is pending when its device asks
 * again, after a reconnect or a `sync`.
 */
export interface UnreadRows {
  /** A device has connected. */
  add(environmentId: string): void;
  has(environmentId: string): boolean;
  /** Holds a request of such a row. Does nothing for another row. */
  hold(request: HeldRequest): void;
  /** The requests of a conversation for which this is true are over. */
  drop(environmentId: string, conversation: Conversation, isOver: (request: HeldRequest) => boolean): void;
  /** The messages of a row have been read, or its device is gone. Returns its requests. */
  delete(environmentId: string): readonly HeldRequest[];
}

export function createUnreadRows(): UnreadRows {
  const rows = new Map<string, Map<string, HeldRequest>>();
  let count = 0;

  function remove(environmentId: string): readonly HeldRequest[] {
    const held = [...(rows.get(environmentId)?.values() ?? [])];
    count -= held.length;
    rows.delete(environmentId);
    return held;
  }

  return {
    add(environmentId) {
      remove(environmentId);
      rows.set(environmentId, new Map());
    },
    has: (environmentId) => rows.has(environmentId),
    hold(request) {
      const row = rows.get(request.key.scope.environmentId);
      const text = serialiseKey(request.key);
      const before = row?.get(text);
      if (row === undefined || (before === undefined && (row.size >= maxApprovalsPerDevice || count >= maxApprovals)))
        return;
      if (before === undefined) count += 1;
      const { requestedAt = request.requestedAt, hasRequestFrame = false } = before ?? {};
      row.set(text, { ...request, requestedAt, hasRequestFrame: request.hasRequestFrame || hasRequestFrame });
    },
    drop(environmentId, conversation, isOver) {
      const row = rows.get(environmentId);
      for (const [text, request] of [...(row ?? [])])
        if (isSameConversation(request.key.scope, conversation) && isOver(request) && row?.delete(text) === true)
          count -= 1;
    },
    delete: remove,
  };
}
