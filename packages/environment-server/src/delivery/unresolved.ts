/**
 * Sends to a row whose outcome this server does not know: the connection broke, the deadline passed, or the process was killed. A
 * device that reconnects reports which messages wait in its queues and which ones its runs have consumed. A send whose messages
 * it lists was accepted. Nothing follows from a message that it does not list, because a device forgets.
 */
import { createGroups } from "../collections.ts";
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
}

export function createUnresolvedDeliveries(deliveries: readonly UnresolvedDelivery[]): UnresolvedDeliveries {
  const sends = createGroups<UnresolvedDelivery>();
  for (const send of deliveries) sends.add(conversationKey(send), send);
  return {
    conversations() {
      const first = sends.names().flatMap((key) => sends.firstOf(key) ?? []);
      return first.map(({ agentId, conversationId }) => ({ agentId, conversationId }));
    },
    confirm(conversation, messageIds) {
      const key = conversationKey(conversation);
      if (sends.sizeOf(key) === 0) return [];
      const listed = new Set(messageIds);
      const confirmed = sends.of(key).filter((send) => send.messageIds.some((messageId) => listed.has(messageId)));
      for (const send of confirmed) sends.delete(key, send);
      return confirmed.map(({ deliveryId }) => deliveryId);
    },
  };
}
