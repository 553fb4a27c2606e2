/**
 * The mode that each conversation of a device has reported on its present socket. A device has a mode for each conversation, so
 * the mode of one says nothing about another. The device knows a named conversation by its id alone: whatever agent a frame names
 * with it, the mode is the same (0.22.4 to 0.32.18). Only the default conversation differs for each agent.
 */
import { defaultConversationId } from "@letta-environments/schema";
import { type Conversation, conversationKey } from "../dialects/conversation.ts";
import { maxKnownModes } from "../limits.ts";

/** The modes that conversations have reported. `null` is a mode that the API cannot name. */
export interface ConversationModes {
  /** Takes a report. Without a conversation, it concerns the whole device. */
  report(environmentId: string, conversation: Conversation | null, mode: string | null): void;
  /** The mode of a conversation; `undefined` while it has reported none. */
  modeOf(environmentId: string, conversation: Conversation): string | null | undefined;
  /** The last reported mode of each conversation of the device; empty before the first report. */
  modesOf(environmentId: string): ReadonlySet<string | null>;
  /** Forgets the mode of a conversation until it reports one again. */
  forgetMode(environmentId: string, conversation: Conversation): void;
  /** Forgets a row whose socket has ended. */
  forget(environmentId: string): void;
}

interface RowModes {
  /** By conversation, the one that reported longest ago first. */
  readonly known: Map<string, string | null>;
  /** Modes of conversations that no longer fit or were forgotten, which may still have them. */
  readonly forgotten: Set<string | null>;
}

/** Longer ids are not remembered one by one. No agent of a real device has one. */
const maxKeyLength = 256;

export function createConversationModes(): ConversationModes {
  const rows = new Map<string, RowModes>();

  return {
    report(environmentId, conversation, mode) {
      const row = rows.get(environmentId) ?? { known: new Map(), forgotten: new Set() };
      rows.set(environmentId, row);
      const key = conversation === null ? "" : modeKeyOf(conversation);
      if (key.length > maxKeyLength) return void row.forgotten.add(mode);
      row.known.delete(key);
      row.known.set(key, mode);
      const [oldest] = row.known;
      if (oldest === undefined || row.known.size <= maxKnownModes) return;
      row.known.delete(oldest[0]);
      row.forgotten.add(oldest[1]);
    },
    modeOf: (environmentId, conversation) => rows.get(environmentId)?.known.get(modeKeyOf(conversation)),
    modesOf(environmentId) {
      const row = rows.get(environmentId);
      return new Set([...(row?.known.values() ?? []), ...(row?.forgotten ?? [])]);
    },
    forgetMode(environmentId, conversation) {
      const row = rows.get(environmentId);
      const key = modeKeyOf(conversation);
      const mode = row?.known.get(key);
      if (mode === undefined) return;
      row?.known.delete(key);
      row?.forgotten.add(mode);
    },
    forget: (environmentId) => void rows.delete(environmentId),
  };
}

/** The key of a conversation among the modes of its device. */
export function modeKeyOf(conversation: Conversation): string {
  const isNamed = conversation.conversationId !== defaultConversationId;
  return conversationKey(isNamed ? { ...conversation, agentId: "" } : conversation);
}
