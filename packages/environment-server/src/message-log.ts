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

/** The status of a message. `null`: not known (yet). */
export interface MessageStatus {
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
  readonly status: MessageStatus;
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

/** The position of a message in the list of its row, which begins with the latest. */
export interface MessagePosition extends Pick<ConversationScope, "agentId" | "conversationId"> {
  readonly sentAt: number;
  readonly messageId: string;
}

/** Which messages of a row are listed. */
export interface MessageFilter {
  readonly environmentId: string;
  /** Only messages that follow this one; `null`: begins with the latest. */
  readonly after: MessagePosition | null;
  /** Only messages of these agents; `null`: of all. */
  readonly agentIds: readonly string[] | null;
  /** `null`: all. */
  readonly conversationId: string | null;
  /** Whether the replies are read. Without them, `reply` is `null`. */
  readonly withReplies: boolean;
  readonly limit: number;
}

/** Statuses of messages. Each method is atomic, and durable when its promise resolves. */
export interface MessageLog {
  /** Stores messages, or replaces their status. Messages of a row that no longer exists are left out. */
  saveMessages(messages: readonly StoredMessage[]): Promise<void>;
  /** Returns the messages of a row with an id, one for each conversation, the latest first; at most `limit`. */
  readMessages(environmentId: string, messageId: string, limit: number): Promise<readonly StoredMessage[]>;
  /** Returns messages of a row, the latest first. Messages of the same time have a stable order. */
  listMessages(filter: MessageFilter): Promise<readonly StoredMessage[]>;
  /** Returns the messages of a row that have not ended, the latest first. */
  findOpenMessages(environmentId: string, limit: number): Promise<readonly StoredMessage[]>;
  /**
   * Removes messages that are older than their retention or exceed its limits, the oldest first, at most `limit` of each. Returns
   * whether there may be more.
   *
   * @param nowMs wall time by which they expire; may be earlier than the time of the latest messages
   */
  pruneMessages(nowMs: number, limit: number): Promise<boolean>;
}
