import type { Sha256 } from "@letta-environments/platform";
import {
  isApprovalMessage,
  type PlainResponse,
  type ProblemIssue,
  problemResponse,
  type SendMessageBody,
  type UserMessage,
} from "@letta-environments/schema";
import { canonicalJson } from "./canonical-json.ts";

/** A body that can be sent: where to, what, and what it is known by. */
export interface DeliveryPlan {
  /** Empty for a conversation without an agent. */
  readonly agentId: string;
  readonly conversationId: string;
  readonly messages: readonly UserMessage[];
  readonly messageIds: readonly string[];
  readonly fingerprint: string;
}

/** The plan, or the response that says why the body cannot be sent. */
export type PlannedDelivery =
  | { readonly kind: "planned"; readonly plan: DeliveryPlan }
  | { readonly kind: "refused"; readonly response: PlainResponse };

/** The conversation of an agent that needs no id. */
export const defaultConversationId = "default";

/**
 * Decides whether a body makes sense before anything is looked up.
 *
 * Refusals: 400 `invalid_request` when one id stands twice, 422 `approvals_unsupported`, and 422 `agent_required`, because a
 * device drops an input without an agent and without a named conversation, and says nothing.
 */
export function planDelivery(body: SendMessageBody, sha256: Sha256): PlannedDelivery {
  const messages = body.messages.filter((message): message is UserMessage => !isApprovalMessage(message));
  const messageIds = messages.map((message) => message.client_message_id);
  const repeated = findRepeatedIds(body);
  if (repeated.length > 0) return refuse(problemResponse("invalid_request", { issues: repeated }));
  if (messages.length < body.messages.length) return refuse(problemResponse("approvals_unsupported"));
  const agentId = body.agentId ?? "";
  const conversationId = body.conversationId || defaultConversationId;
  if (agentId === "" && conversationId === defaultConversationId) {
    const issues = [{ member: "agentId", rule: "is required unless conversationId names a conversation" }];
    return refuse(problemResponse("agent_required", { issues }));
  }
  const fingerprint = sha256(canonicalJson(messages));
  return { kind: "planned", plan: { agentId, conversationId, messages, messageIds, fingerprint } };
}

/** Names the ids of a body that pass a test, as members of the request. */
export function messageIdIssues(
  messages: SendMessageBody["messages"],
  rule: string,
  test: (messageId: string) => boolean,
): ProblemIssue[] {
  return messages.flatMap((message, index) =>
    !isApprovalMessage(message) && test(message.client_message_id)
      ? [{ member: `messages[${index}].client_message_id`, rule }]
      : [],
  );
}

function findRepeatedIds(body: SendMessageBody): ProblemIssue[] {
  const seen = new Set<string>();
  return messageIdIssues(body.messages, "must differ from the other ids of the request", (messageId) => {
    const repeated = seen.has(messageId);
    seen.add(messageId);
    return repeated;
  });
}

function refuse(response: PlainResponse): PlannedDelivery {
  return { kind: "refused", response };
}
