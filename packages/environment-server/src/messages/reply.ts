/**
 * The last text of the assistant in a turn, as it arrives in pieces. A text is bounded, and so are the texts of all turns together,
 * because a device decides how much it sends.
 */
import type { StatusFrame, TurnFrame } from "../dialects/frame.ts";
import { dropOldest } from "../collections.ts";
import { maxRecentFrameKeys, maxReplyLength, maxRepliesLength } from "../limits.ts";
import { createMemoryBudget, type MemoryAccount, type MemoryBudget } from "../memory-budget.ts";
import type { MessageReply } from "../message-log.ts";

/** Creates the memory for the texts of all running turns, in characters. The tenant with the most loses its oldest text. */
export function createReplyBudget(): MemoryBudget {
  return createMemoryBudget({ maxOwnerBytes: maxRepliesLength, maxTotalBytes: maxRepliesLength }, "oldest");
}

/** The text of one turn. */
export interface ReplyCollector {
  /** Adds a piece. A piece with another id starts another text. */
  add(id: string | null, text: string): void;
  /** Pieces may have been missed, so the text of the next piece is incomplete. */
  miss(): void;
  /** Returns the text, or `null` when there is none. */
  current(): MessageReply | null;
  clear(): void;
}

export function createReplyCollector(budget: MemoryBudget, tenant: string): ReplyCollector {
  let id: string | null = null;
  let text = "";
  let account: MemoryAccount | null = null;
  let isTruncated = false;
  let hasMissed = false;
  let isDropped = false;

  function startText(next: string | null): void {
    if (account !== null) budget.close(account);
    account = null;
    id = next;
    text = "";
    isTruncated = false;
    isDropped = false;
  }

  function drop(): void {
    text = "";
    isTruncated = true;
    isDropped = true;
  }

  return {
    add(pieceId, piece) {
      if (pieceId !== id) startText(pieceId);
      const room = isDropped ? 0 : maxReplyLength - text.length;
      const kept = piece.length <= room ? piece : piece.slice(0, room).replace(/\p{Surrogate}$/u, "");
      text += kept;
      isTruncated ||= hasMissed || kept.length < piece.length;
      hasMissed = false;
      if (kept === "") return;
      account ??= budget.open({ tenant, keyId: "" }, drop);
      budget.resize(account, text.length);
    },
    miss() {
      hasMissed = true;
    },
    current: () => (text === "" && !isTruncated ? null : { text, isTruncated }),
    clear() {
      startText(null);
      hasMissed = false;
    },
  };
}

/** Returns a function that takes the frames of a device, and returns whether one is a text that it has sent before. */
export function createTextFilter(): (frame: TurnFrame | StatusFrame) => boolean {
  const keys = new Set<string>();
  return (frame) => {
    if (frame.kind !== "assistant_text" || frame.key === null) return false;
    const isRepeat = keys.has(frame.key);
    dropOldest(keys.add(frame.key), maxRecentFrameKeys);
    return isRepeat;
  };
}
