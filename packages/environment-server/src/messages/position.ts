/**
 * The order in which the messages of a row are listed: the latest first, and messages of the same time by their ids, in descending order. A cursor names
 * a position in this order, and a filter selects some of the messages.
 */
import type { MessageFilter, MessagePosition, StoredMessage } from "../message-log.ts";

/** Returns the place of a message. */
export function positionOf({ scope, messageId, sentAt }: StoredMessage): MessagePosition {
  return { sentAt, messageId, agentId: scope.agentId, conversationId: scope.conversationId };
}

/** Compares places: negative if the left one comes first. */
export function comparePositions(left: MessagePosition, right: MessagePosition): number {
  return (
    right.sentAt - left.sentAt ||
    compareTexts(left.messageId, right.messageId) ||
    compareTexts(left.agentId, right.agentId) ||
    compareTexts(left.conversationId, right.conversationId)
  );
}

/** Whether a message belongs to the agents and the conversation that a list selects. */
export function isSelected(
  { scope }: StoredMessage,
  { agentIds, conversationId }: Pick<MessageFilter, "agentIds" | "conversationId">,
): boolean {
  const isOfAgent = agentIds === null || agentIds.includes(scope.agentId);
  return isOfAgent && (conversationId === null || scope.conversationId === conversationId);
}

/** Writes a place as a cursor: its time, and its ids in base64url. */
export function writeCursor({ sentAt, messageId, agentId, conversationId }: MessagePosition): string {
  const bytes = new TextEncoder().encode(JSON.stringify([messageId, agentId, conversationId]));
  const text = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
  return `${sentAt}.${text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")}`;
}

/** Reads a cursor; `null` for a text that is not a cursor. */
export function readCursor(cursor: string): MessagePosition | null {
  const [time = "", text = ""] = cursor.split(".");
  try {
    const binary = atob(text.replaceAll("-", "+").replaceAll("_", "/"));
    const bytes = Uint8Array.from(binary, (character) => character.charCodeAt(0));
    const ids: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(bytes));
    if (!Array.isArray(ids) || ids.length !== 3 || !ids.every((id) => typeof id === "string")) return null;
    const [messageId = "", agentId = "", conversationId = ""] = ids;
    return { sentAt: Number(time), messageId, agentId, conversationId };
  } catch {
    return null;
  }
}

function compareTexts(left: string, right: string): number {
  return left === right ? 0 : left < right ? 1 : -1;
}
