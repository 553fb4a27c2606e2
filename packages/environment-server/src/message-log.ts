/**
 * The status of each message after it was sent, and the port that stores it. A state after `sent` always has evidence from the
 * device. A message whose device cannot be asked at present is `unknown`, whatever is stored.
 */
import type { ApprovalPolicy, ListedMessageState, TurnUsage as ReportedUsage } from "@letta-environments/schema";

/** The scope of message ids: a conversation on a device. */
export interface ConversationScope {
  readonly environmentId: string;
  /** Empty for a conversation without an agent. */
  readonly agentId: string;
  readonly conversationId: string;
}

/**
 * `received`: stored, not written to the device yet. `sent`: written. `accepted`: the device queued it or started a turn with it. `running`,
 * `waiting_for_approval`: its turn runs, or waits for a permission. `finished`: its turn ended on its own, successfully or with an error.
 * `cancelled`: its turn was stopped, or it was removed from the queue. `evicted`: the device dropped it because its queue was full. `failed`: the
 * device rejected it, or it was never written. `unknown`: its state can no longer be determined.
 */
export type MessageState = ListedMessageState;

/** Counters of a turn. Counters that the device does not report are absent. */
export type TurnUsage = Readonly<ReportedUsage>;

/** A counter of {@link TurnUsage}. */
export type TurnCounter = keyof TurnUsage;

/** The last text of the assistant in a turn. */
export interface MessageReply {
  readonly text: string;
  /** The text was longer, or a part of it may be missing. */
  readonly isTruncated: boolean;
}

/** The status of a message as it is stored: how far it has come, and its result. `null`: not known (yet). The API shows it as `MessageStatus`. */
export interface MessageProgress {
  readonly state: MessageState;
  /** Whether the device `started` or `queued` the message when it accepted it. */
  readonly disposition: string | null;
  /** Why the turn ended, such as `end_turn`; `unknown` when it ended and the device did not say why. */
  readonly stopReason: string | null;
  readonly error: string | null;
  readonly usage: TurnUsage | null;
  /** Duration of the turn in milliseconds. */
  readonly durationMs: number | null;
  readonly reply: MessageReply | null;
}

/** A message and its status. Times are epoch milliseconds. */
export interface StoredMessage {
  readonly scope: ConversationScope;
  readonly messageId: string;
  readonly deliveryId: string;
  /** The sender's policy for requests for permission in the turn; `null` if there is none. */
  readonly approvalPolicy: ApprovalPolicy | null;
  /** The tenant of its row, for a log without the rows. Need not be returned. Without it, the row counts as a tenant of its own. */
  readonly tenant?: string;
  readonly status: MessageProgress;
  readonly sentAt: number;
  readonly updatedAt: number;
}

/** How many statuses are kept, and for how long. */
export interface MessageLogLimits {
  /** Since the send, in milliseconds. */
  readonly durationMs: number;
  /** Messages of one row. */
  readonly maxPerRow: number;
  /** Messages of all rows. */
  readonly maxMessages: number;
  /** Texts of all messages together, in characters. */
  readonly maxReplies: number;
}

/**
 * The position of a message in the list of its row, which begins with the latest. Messages of the same time are ordered by their ids, in descending
 * order.
 */
export interface MessagePosition extends Pick<ConversationScope, "agentId" | "conversationId"> {
  readonly sentAt: number;
  readonly messageId: string;
}

/** The conversations whose messages are selected. */
export interface MessageSelection {
  /** Only messages of these agents; `null`: of all. */
  readonly agentIds: readonly string[] | null;
  /** `null`: all. */
  readonly conversationId: string | null;
}

/** A part of the messages of a row. */
export interface MessageFilter {
  readonly environmentId: string;
  /** Only messages that follow this one; `null`: begins with the latest. */
  readonly after: MessagePosition | null;
  /** Whether the replies are read. Without them, `reply` is `null`. */
  readonly withReplies: boolean;
  readonly limit: number;
}

/** Statuses of messages. Each method is atomic, and durable when its promise resolves. */
export interface MessageLog {
  /**
   * Stores messages, or replaces their status. The end of a message stays if the same send is saved in a state from before its end, since another server
   * may save what it knew last. Messages of a row that no longer exists are left out.
   */
  saveMessages(messages: readonly StoredMessage[]): Promise<void>;
  /** Returns the messages of a row with an id, one for each conversation, the latest first; at most `limit`. */
  readMessages(environmentId: string, messageId: string, limit: number): Promise<readonly StoredMessage[]>;
  /** Returns messages of a row, the latest first. Messages of the same time have a stable order. */
  listMessages(filter: MessageFilter): Promise<readonly StoredMessage[]>;
  /** Returns the messages of a row that have not ended, the latest first. */
  findOpenMessages(environmentId: string, limit: number): Promise<readonly StoredMessage[]>;
  /**
   * Removes messages that are older than their retention or exceed its limits, at most `limit` of each. Returns whether there may be more. A row with too
   * many loses some; if there are too many in total, the row with the most of the tenant with the most does. A row loses messages that have ended
   * first, the oldest first, because the policies of others still count. If the texts are too long, the oldest of all messages that have ended are removed;
   * others have no text.
   *
   * @param nowMs wall time by which they expire; may be earlier than the time of the latest messages
   */
  pruneMessages(nowMs: number, limit: number): Promise<boolean>;
}

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

/** Sorts messages as they are listed. */
export function latestFirst(messages: readonly StoredMessage[]): StoredMessage[] {
  return messages.toSorted((left, right) => comparePositions(positionOf(left), positionOf(right)));
}

/** Returns a message as it is listed without its reply. */
export function withoutReply(message: StoredMessage): StoredMessage {
  return message.status.reply === null ? message : { ...message, status: { ...message.status, reply: null } };
}

/** Whether a message belongs to the agents and the conversation that a list selects. */
export function isSelected({ scope }: StoredMessage, { agentIds, conversationId }: MessageSelection): boolean {
  const isOfAgent = agentIds === null || agentIds.includes(scope.agentId);
  return isOfAgent && (conversationId === null || scope.conversationId === conversationId);
}

/** Writes a place as a cursor: its time, and its ids in base64url. */
export function formatCursor({ sentAt, messageId, agentId, conversationId }: MessagePosition): string {
  const bytes = new TextEncoder().encode(JSON.stringify([messageId, agentId, conversationId]));
  const text = btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));
  return `${sentAt}.${text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "")}`;
}

/** Reads a cursor; `null` for a text that is not a cursor. */
export function parseCursor(cursor: string): MessagePosition | null {
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
