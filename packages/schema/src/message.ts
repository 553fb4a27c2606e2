/**
 * Name of the response header by which a server declares that it deduplicates messages. Its value is the number of seconds
 * for which the server remembers a `client_message_id`, such as `86400`. While an id is remembered, a client may repeat a
 * send with an unknown outcome: the server returns the first result and does not run the message again.
 */
export const messageDeduplicationHeader = "x-message-deduplication";

/** A piece of text in a message. */
export interface TextPart {
  text: string;
  type: "text";
}

/** A message from a person or a program to the agent on a device. */
export interface UserMessage {
  /** Chosen by the caller, once per logical message and kept over retries: a repeated id answers its first result. */
  client_message_id: string;
  content: string | TextPart[];
  role: "user";
  /** Id under which the message is stored by the agent; a device takes `client_message_id` when it is absent. */
  otid?: string;
}

/** The result of a tool that the caller ran itself. */
export interface ToolReturn {
  status: "success" | "error";
  tool_call_id: string;
  tool_return: string | TextPart[];
  stderr?: string[] | null;
  stdout?: string[] | null;
  type?: "tool";
}

/** The answer to one request for permission. */
export interface ApprovalDecision {
  approve: boolean;
  tool_call_id: string;
  reason?: string | null;
  type?: "approval";
  /** Replaces the input with which the tool would have run. */
  updated_input?: Record<string, unknown> | null;
}

/** Answers to requests for permission; the members of `approvals` are told apart by `approve` and `status`. */
export interface ApprovalMessage {
  approvals: (ToolReturn | ApprovalDecision)[];
  type: "approval";
}

/** What a caller sends to a connection. */
export interface SendMessageBody {
  messages: (UserMessage | ApprovalMessage)[];
  agentId?: string;
  /** The agent's own conversation when absent, null or `default`. */
  conversationId?: string | null;
}

/** The device has taken the message, or said why not. It says nothing about the turn that follows. */
export interface SendMessageResponse {
  success: boolean;
  message: string;
}

export { ApprovalDecisionSchema, ApprovalMessageSchema, ToolReturnSchema } from "./approval-message-schema.ts";
export { isApprovalMessage } from "./is-approval-message.ts";
export { maxReferenceLength } from "./reference-schema.ts";
export { SendMessageBodySchema } from "./send-message-body-schema.ts";
export { SendMessageResponseSchema } from "./send-message-response-schema.ts";
export { TextPartSchema } from "./text-part-schema.ts";
export { UserMessageSchema } from "./user-message-schema.ts";
