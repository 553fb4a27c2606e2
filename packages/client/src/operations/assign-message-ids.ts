import type { ApprovalMessage, SendMessageBody, UserMessage } from "@letta-environments/schema";
import { isRecord } from "@letta-environments/schema/guards";
import { randomId } from "../adapters/web-random.ts";

/** A {@link UserMessage} whose id may be left to the client. */
export interface UserMessageInput extends Omit<UserMessage, "client_message_id"> {
  /** Chosen once per logical message; an absent one is made up, and `otid` with it. */
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
 * Gives every user message without a `client_message_id` a new one, which is also its `otid` where it has none. Store the
 * result before sending it, and a message can be repeated safely even after a crash.
 */
export function assignMessageIds(input: SendMessageInput, newId: () => string = randomId): SendMessageBody {
  const messages = input.messages.map((message) => {
    if (!isRecord(message) || "approvals" in message || message["client_message_id"] !== undefined) return message;
    const id = newId();
    return { ...message, client_message_id: id, otid: message["otid"] ?? id };
  });
  // A member that is undefined is absent, as it is in JSON.
  return { ...input, messages } as SendMessageBody;
}
