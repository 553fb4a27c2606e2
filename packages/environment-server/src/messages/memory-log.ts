/** {@link SeparateMessageLog} in memory, for programs that need no statuses after a restart. Every method reads all messages. */
import { hasEnded } from "@letta-environments/schema";
import { messageLogLimits } from "../limits.ts";
import { createRemovedRows } from "../logs/removed-rows.ts";
import type { SeparateMessageLog } from "../logs/separate.ts";
import type { MessageLogLimits, StoredMessage } from "../message-log.ts";
import { comparePositions, isSelected, positionOf } from "./position.ts";

/** Creates a {@link SeparateMessageLog} that lasts as long as the process. */
export function createMemoryMessageLog({
  durationMs,
  maxPerRow,
  maxMessages,
  maxReplies,
}: MessageLogLimits = messageLogLimits): SeparateMessageLog {
  const messages = new Map<string, StoredMessage>();
  const removedRows = createRemovedRows();

  const ofRow = (environmentId: string): StoredMessage[] =>
    latestFirst([...messages.values()].filter(({ scope }) => scope.environmentId === environmentId));

  /** Removes messages until they are within a limit, at most `limit`. Returns whether there may be more. */
  function removeOldest(candidates: readonly StoredMessage[], count: number, limit: number): boolean {
    const oldest = latestFirst(candidates).toReversed().slice(0, Math.min(count, limit));
    for (const message of oldest) messages.delete(keyOf(message));
    return count >= limit;
  }

  return {
    async saveMessages(saved) {
      for (const message of saved)
        if (!removedRows.has(message.scope.environmentId)) messages.set(keyOf(message), message);
    },
    async readMessages(environmentId, messageId, limit) {
      return ofRow(environmentId)
        .filter((message) => message.messageId === messageId)
        .slice(0, limit);
    },
    async listMessages({ environmentId, after, withReplies, limit, ...selection }) {
      return ofRow(environmentId)
        .filter((message) => isSelected(message, selection))
        .filter((message) => after === null || comparePositions(positionOf(message), after) > 0)
        .slice(0, limit)
        .map((message) => (withReplies ? message : { ...message, status: { ...message.status, reply: null } }));
    },
    async findOpenMessages(environmentId, limit) {
      return ofRow(environmentId)
        .filter(({ status }) => !hasEnded(status))
        .slice(0, limit);
    },
    async pruneMessages(nowMs, limit) {
      const old = [...messages.values()].filter(({ sentAt }) => sentAt <= nowMs - durationMs);
      let mayBeMore = removeOldest(old, old.length, limit);
      const counts = new Map<string, number>();
      for (const { scope } of messages.values())
        counts.set(scope.environmentId, (counts.get(scope.environmentId) ?? 0) + 1);
      for (const [environmentId, count] of counts) {
        if (count > maxPerRow) mayBeMore = removeOldest(ofRow(environmentId), count - maxPerRow, limit) || mayBeMore;
      }
      const all = [...messages.values()];
      const length = all.reduce((sum, { status }) => sum + (status.reply?.text.length ?? 0), 0);
      const excess = Math.max(all.length - maxMessages, length > maxReplies ? limit : 0);
      return removeOldest(all, excess, limit) || mayBeMore;
    },
    async removeRows(environmentIds) {
      removedRows.add(environmentIds);
      for (const [key, { scope }] of messages) if (removedRows.has(scope.environmentId)) messages.delete(key);
    },
  };
}

function latestFirst(messages: readonly StoredMessage[]): StoredMessage[] {
  return messages.toSorted((left, right) => comparePositions(positionOf(left), positionOf(right)));
}

function keyOf({ scope, messageId }: StoredMessage): string {
  return JSON.stringify([scope.environmentId, scope.agentId, scope.conversationId, messageId]);
}
