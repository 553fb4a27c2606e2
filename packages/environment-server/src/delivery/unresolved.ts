/**
 * Sends to a row whose outcome this server does not know: the connection broke, the deadline passed, or the process was killed. A
 * device that reconnects reports which messages wait in its queues and which ones its runs have consumed. A send whose messages
 * it lists was accepted. Nothing follows from a message that it does not list, because a device forgets.
 */
import { type Conversation, conversationKey } from "../dialects/conversation.ts";
import type { UnresolvedDelivery } from "../ports.ts";

/** The unresolved sends of one connection. */
export interface UnresolvedDeliveries {
  /** The conversations with unresolved sends, beginning with the one of the latest send. */
  conversations(): readonly Conversation[];
  /**
   * Takes the ids that a device lists for a conversation. Returns the sends that have a message in the list: a device takes the
   * messages of a send together, and its queue names only the first.
   */
  confirm(conversation: Conversation, messageIds: Iterable<string | null>): readonly string[];
  readonly isEmpty: boolean;
}

interface Unconfirmed {
  readonly deliveryId: string;
  readonly messageIds: readonly string[];
}

export function createUnresolvedDeliveries(deliveries: readonly UnresolvedDelivery[]): UnresolvedDeliveries {
  const byConversation = new Map<string, { readonly conversation: Conversation; readonly sends: Set<Unconfirmed> }>();
  for (const { deliveryId, agentId, conversationId, messageIds } of deliveries) {
    const conversation = { agentId, conversationId };
    const entry = byConversation.get(conversationKey(conversation)) ?? { conversation, sends: new Set() };
    byConversation.set(conversationKey(conversation), entry);
    entry.sends.add({ deliveryId, messageIds });
  }
  return {
    conversations: () => [...byConversation.values()].map(({ conversation }) => conversation),
    confirm(conversation, messageIds) {
      const key = conversationKey(conversation);
      const entry = byConversation.get(key);
      if (entry === undefined) return [];
      const listed = new Set(messageIds);
      const confirmed: string[] = [];
      for (const send of entry.sends) {
        if (!send.messageIds.some((messageId) => listed.has(messageId))) continue;
        entry.sends.delete(send);
        confirmed.push(send.deliveryId);
      }
      if (entry.sends.size === 0) byConversation.delete(key);
      return confirmed;
    },
    get isEmpty() {
      return byConversation.size === 0;
    },
  };
}
