import type { ApprovalMessage, UserMessage } from "./message.ts";

/** Tells an approval message from a user message. */
export function isApprovalMessage(message: UserMessage | ApprovalMessage): message is ApprovalMessage {
  return "approvals" in message;
}
