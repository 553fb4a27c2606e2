/** The conversation that a frame is about, which the vendor calls `runtime`. Frames of a conversation without an agent name no agent. */

/** A conversation on a device. The agent is empty for a conversation without one. */
export interface Conversation {
  readonly agentId: string;
  readonly conversationId: string;
}

/** The key of a conversation within the maps of a row. */
export function conversationKey({ agentId, conversationId }: Conversation): string {
  return JSON.stringify([agentId, conversationId]);
}

/** Whether two conversations of a device are the same. */
export function isSameConversation(left: Conversation, right: Conversation): boolean {
  return left.agentId === right.agentId && left.conversationId === right.conversationId;
}

/** The member `runtime` of a frame. */
export function toWireRuntime({ agentId, conversationId }: Conversation): {
  readonly agent_id: string | null;
  readonly conversation_id: string;
} {
  return { agent_id: agentId === "" ? null : agentId, conversation_id: conversationId };
}
