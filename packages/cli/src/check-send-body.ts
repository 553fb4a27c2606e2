import { checkValue, type SendMessageBody, SendMessageBodySchema } from "@letta-environments/schema";
import { misuse } from "./command-error.ts";

const optionOfMember: Readonly<Record<string, string>> = {
  agentId: "--agent",
  conversationId: "--conversation",
  "messages[0].content": "MESSAGE",
  "messages[0].client_message_id": "--message-id",
  "messages[0].approvals[0].tool_call_id": "--request",
  "messages[0].approvals[0].reason": "--reason",
};

/** Holds a body against the rules of the API before anything is sent. @throws CommandError naming the option and the rule. */
export function checkSendBody(body: SendMessageBody): void {
  const checked = checkValue(SendMessageBodySchema, body, "body");
  if (checked.ok) return;
  const broken = checked.issues.map(({ member, rule }) => `${optionOfMember[member] ?? member} ${rule}`);
  throw misuse(broken.join("; "));
}
