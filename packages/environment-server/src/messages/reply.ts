/**
 * The last text of the assistant in a turn, as it arrives in pieces. A text is bounded, and so are the texts of all turns together,
 * because a device decides how much it sends.
 */
import { maxReplyLength, maxRepliesLength } from "../limits.ts";
import type { MessageReply } from "../message-log.ts";

/** Memory for the texts of all running turns, in characters. */
export interface ReplyBudget {
  used: number;
}

/** The text of one turn. */
export interface ReplyCollector {
  /** Adds a piece. A piece with another id starts another text. */
  add(id: string | null, text: string): void;
  /** Returns the text, or `null` when there is none. */
  current(): MessageReply | null;
  clear(): void;
}

/** Creates a {@link ReplyCollector}. */
export function createReplyCollector(budget: ReplyBudget): ReplyCollector {
  let id: string | null = null;
  let text = "";
  let isTruncated = false;

  function clear(): void {
    budget.used -= text.length;
    id = null;
    text = "";
    isTruncated = false;
  }

  return {
    add(pieceId, piece) {
      if (pieceId !== id) clear();
      id = pieceId;
      const room = Math.min(maxReplyLength - text.length, maxRepliesLength - budget.used);
      const kept = piece.length <= room ? piece : piece.slice(0, Math.max(0, room)).replace(/\p{Surrogate}$/u, "");
      text += kept;
      budget.used += kept.length;
      isTruncated ||= kept.length < piece.length;
    },
    current: () => (text === "" && !isTruncated ? null : { text, isTruncated }),
    clear,
  };
}
