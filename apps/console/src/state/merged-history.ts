/**
 * Merges the messages that the gateway lists with later events, each message once: for the history of a device, and for a conversation, with
 * the last texts of turns whose output is no longer stored.
 */
import type { MessageStatus } from "@letta-environments/client";
import { type Conversation, type Entry, insertSent, messageIdOf, type TextOf } from "../model/conversation.ts";

/** A message of the history. */
export interface HistoryItem {
  readonly key: string;
  /** The text that was sent, if this tab sent it, or has received the output in which the device repeats it; otherwise empty. */
  readonly text: string;
  /** `null`: it is being sent to the gateway. */
  readonly status: MessageStatus | null;
}

/**
 * Returns the messages, the latest first. If a message is both listed and followed, the later status counts. While older messages are not
 * loaded, messages before the last listed one are left out, so that there is no gap.
 */
export function mergeHistory(
  listed: readonly MessageStatus[],
  hasOlder: boolean,
  conversations: Iterable<Conversation>,
): readonly HistoryItem[] {
  const items = new Map<string, HistoryItem>();
  for (const status of listed) {
    const key = keyOf(status.agentId ?? "", status.conversationId, status.clientMessageId);
    items.set(key, { key, text: "", status });
  }
  const oldest = hasOlder ? (listed.at(-1)?.sentAt ?? 0) : 0;
  for (const { agentId, conversationId, entries } of conversations) {
    for (const entry of entries) {
      if (entry.kind !== "sent" || sentAt(entry.status) < oldest) continue;
      const key = keyOf(agentId, conversationId, messageIdOf(entry));
      const status = later(items.get(key)?.status ?? null, entry.status);
      items.set(key, { key, text: entry.text, status });
    }
  }
  return [...items.values()].toSorted((left, right) => sentAt(right.status) - sentAt(left.status));
}

function later(left: MessageStatus | null, right: MessageStatus | null): MessageStatus | null {
  if (left === null || right === null) return left ?? right;
  return (left.updatedAt ?? 0) > (right.updatedAt ?? 0) ? left : right;
}

function sentAt(status: MessageStatus | null): number {
  return status === null ? Number.MAX_SAFE_INTEGER : (status.sentAt ?? 0);
}

function keyOf(...ids: readonly string[]): string {
  return JSON.stringify(ids);
}

/** Returns the entries of a conversation with its listed messages. */
export function withListed(
  entries: readonly Entry[],
  listed: readonly MessageStatus[],
  sentText: TextOf,
): readonly Entry[] {
  const known = new Set(entries.map(({ key }) => key));
  const messages = listed
    .toSorted((left, right) => (left.sentAt ?? 0) - (right.sentAt ?? 0))
    .map((status) => ({
      ...{ kind: "sent" as const, key: `sent ${status.clientMessageId}`, status },
      text: sentText(status.clientMessageId),
    }))
    .filter(({ key }) => !known.has(key))
    .reduce(insertSent, entries);
  const all = messages.flatMap((entry, index) => [entry, ...lastText(entry, messages[index + 1], entries)]);
  const isShortened = all.length > messages.length;
  const text = "Of earlier turns, only the last text is kept.";
  return isShortened ? [{ kind: "notice", key: "notice listed", text }, ...all] : all;
}

/** Returns the last text of a turn if no output follows its message. */
function lastText(entry: Entry, next: Entry | undefined, entries: readonly Entry[]): readonly Entry[] {
  if (entry.kind !== "sent" || (next !== undefined && next.kind !== "sent")) return [];
  const { text = "", updatedAt = 0 } = entry.status ?? {};
  // A message that was sent before the turn ended is shown before the output of the turn.
  const isBehindNext = next !== undefined && sentAt(next.status) <= updatedAt;
  const isShown = isBehindNext && entries.some((other) => other.kind === "text" && other.text.includes(text));
  return text === "" || isShown ? [] : [{ kind: "text", key: `last ${entry.key}`, text }];
}
