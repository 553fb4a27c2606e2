import type { ApprovalMessage, SendMessageBody, UserMessage } from "@letta-environments/schema";
import { randomUuid } from "../adapters/web-random.ts";

/** A {@link UserMessage} whose id may be left to the client. */
export interface UserMessageInput extends Omit<UserMessage, "client_message_id"> {
  /** Chosen once per logical message; an absent one is made up. */
  client_message_id?: string | undefined;
}

/** A {@link SendMessageBody} whose message ids may be left to the client. */
export interface SendMessageInput {
  readonly messages: readonly (UserMessageInput | ApprovalMessage)[];
  readonly agentId?: string | undefined;
  /** The agent's own conversation when absent, null or `default`. */
  readonly conversationId?: string | null | undefined;
}

/**
 * Gives every user message without a `client_message_id` a new one. Store the result before sending it, and a message can be
 * repeated safely even after a crash.
 */
export function assignMessageIds(input: SendMessageInput, newId: () => string = randomUuid): SendMessageBody {
  const { agentId, conversationId, ...rest } = input;
  return {
    ...rest,
    messages: input.messages.map((message) =>
      needsId(message) ? { ...message, client_message_id: newId() } : message,
    ),
    ...(agentId !== undefined && { agentId }),
    ...(conversationId !== undefined && { conversationId }),
  };
}

function needsId(message: unknown): message is UserMessageInput {
  if (typeof message !== "object" || message === null || Array.isArray(message) || "approvals" in message) return false;
  const { type, client_message_id: id } = message as { type?: unknown; client_message_id?: unknown };
  return type !== "approval" && id === undefined;
}
