import type { SendMessageBody, UserMessage } from "@letta-environments/schema";
import { checkValue } from "../check-value.ts";
import { isApproval } from "./assign-message-ids.ts";

/**
 * The user messages of a body, which is checked for members of a wrong type and for empty ids; of an approval for those that say which
 * tool call runs. Lengths and the rest are left to the server, which tells every rule that is broken.
 *
 * @param body As JSON holds it, with its ids.
 * @throws LettaEnvironmentsError `invalid_argument` naming the first member that is wrong.
 */
export const checkBody = (body: SendMessageBody): readonly UserMessage[] => {
  checkMembers("", body, { messages: /^\[\{/, conversationId: /^("|null|undefined)/, agentId: /^("[^]|undefined)/ });
  return body.messages.filter((message, index): message is UserMessage => {
    const path = `messages[${index}].`;
    const isUser = !isApproval(message);
    if (isUser)
      checkMembers(path, message, {
        client_message_id: /^"[^]/,
        otid: /^"[^]/,
        role: /^"user$/,
        content: /^("[^]|\[\{)/,
      });
    else {
      checkMembers(path, message, { approvals: /^\[\{/ });
      message.approvals.forEach((approval, at) =>
        // `approve` is absent in the result of a tool.
        checkMembers(`${path}approvals[${at}].`, approval, {
          tool_call_id: /^"[^]/,
          approve: /^(true|false|undefined)/,
        }),
      );
    }
    return isUser;
  });
};

const checkMembers = (path: string, value: unknown, patterns: Readonly<Record<string, RegExp>>): void => {
  for (const name in patterns)
    checkValue(path + name, (value as Readonly<Record<string, unknown>> | null)?.[name], patterns[name]);
};
