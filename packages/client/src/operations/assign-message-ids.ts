import type { ApprovalMessage, SendMessageBody, UserMessage } from "@letta-environments/schema";
import { randomId } from "../adapters/chance.ts";

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
 * Gives every user message a `client_message_id` where it has none, and an `otid` where it has none: the same. Store the
 * result before sending it, and a message can be repeated safely even after a crash.
 */
export const assignMessageIds = (input: SendMessageInput): SendMessageBody =>
  ({
    ...input,
    messages: input.messages.map((message) => {
      if (isApproval(message)) return message;
      const id = message?.client_message_id ?? randomId();
      return { ...message, client_message_id: id, otid: message?.otid ?? id };
    }),
    // A member that is undefined is absent, as it is in JSON.
  }) as SendMessageBody;

/** Whether a message answers requests for permission. */
export const isApproval = <Message extends object>(message: Message | ApprovalMessage): message is ApprovalMessage =>
  (message as Partial<ApprovalMessage> | null)?.approvals !== undefined;
