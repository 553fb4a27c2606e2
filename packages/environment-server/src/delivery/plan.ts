/**
 * Plans the frames that a device receives for the body of a send. Consecutive user messages become one `create_message`
 * frame, because a device runs them as one turn. Each approval decision becomes a separate `approval_response` frame,
 * because a device asks for one permission at a time.
 */
import type { Sha256 } from "@letta-environments/platform";
import {
  type ApprovalDecision,
  canonicalJson,
  defaultConversationId,
  isApprovalMessage,
  maxReferenceLength,
  type PlainResponse,
  type ProblemIssue,
  problemResponse,
  refused,
  type Refused,
  type SendMessageBody,
  type ToolReturn,
  type UserMessage,
} from "@letta-environments/schema";
import type { ApprovalResponse, InputPayload } from "../dialects/build.ts";
import type { Conversation } from "../dialects/conversation.ts";
import { maxWaitingMessages } from "../limits.ts";

/** The frames of a body, in order, and the conversation that receives them. */
export interface DeliveryPlan {
  /** Empty for a conversation without an agent. */
  readonly agentId: string;
  readonly conversationId: string;
  readonly parts: readonly [DeliveryPart, ...DeliveryPart[]];
}

/** One frame: delivered, acknowledged and deduplicated as a whole. */
export interface DeliveryPart {
  /** The ids that the `Idempotency-Key` of the request adds to its first frame. */
  readonly keyIds: KeyIds | null;
  /** The ids under which it is deduplicated: its message ids, or one made from the tool call of its decision. */
  readonly messageIds: readonly string[];
  /** The member of the request that each id comes from. */
  readonly members: readonly string[];
  /** The tool call that it decides on; `null` for messages. */
  readonly toolCallId: string | null;
  /** `requestedAt` of the request that its sender has seen, under the id of the tool call; `null` when that is not known. */
  readonly requestedAt: number | null;
  /** Characters that its messages take in the queue of a device; 0 for a decision, which does not wait there. */
  readonly length: number;
  /** Digest of the content. */
  readonly fingerprint: string;
  readonly payload: InputPayload;
}

/**
 * Two ids under which an `Idempotency-Key` is stored. A request with a known key and another body shares the first and not the
 * second.
 */
interface KeyIds {
  readonly key: string;
  readonly keyAndBody: string;
}

/** The plan, or the response that refuses the body. */
type PlannedDelivery = { readonly kind: "planned"; readonly plan: DeliveryPlan } | Refused;

/**
 * Prefixes that separate the ids of decisions and keys from message ids. Each is as long as the longest message id, so that no caller can use the id
 * of a decision that it must not make.
 */
const decisionIdPrefix = "approval/".padEnd(maxReferenceLength, "/");
const keyIdPrefix = "idempotency-key/".padEnd(maxReferenceLength, "/");

/** The id, the kind and the time that a device adds to a message in its queue, in characters. */
const queueItemLength = 100;

const defaultDenial = "The request was denied.";

/**
 * Plans the delivery of a body, before anything is looked up.
 *
 * Refusals: 400 `invalid_request` when an id occurs twice, a denial selects suggestions, or a frame has more messages than may wait in a
 * conversation; 422 `approvals_unsupported` for the result of a tool, because a device runs its tools itself and has no frame for it;
 * 422 `agent_required`, because a device silently drops an input without an agent and without a named conversation.
 */
export function planDelivery(body: SendMessageBody, idempotencyKey: string | null, sha256: Sha256): PlannedDelivery {
  const parts = toParts(body.messages, sha256);
  const issues = [
    ...findTooManyMessages(parts),
    ...findRepeatedIds(parts),
    ...findDenialsWithSuggestions(body.messages),
  ];
  if (issues.length > 0) return refused(problemResponse("invalid_request", { issues }));
  const toolReturns = findToolReturns(body.messages);
  if (toolReturns.length > 0) return refused(problemResponse("approvals_unsupported", { issues: toolReturns }));
  const agentId = body.agentId ?? "";
  const conversationId = body.conversationId || defaultConversationId;
  const unaddressed = refuseWithoutAgent({ agentId, conversationId });
  if (unaddressed !== null) return refused(unaddressed);
  const [first, ...rest] = parts;
  // The schema of the body refuses empty lists.
  if (first === undefined) return refused(problemResponse("invalid_request"));
  const keyIds = idempotencyKey === null ? null : toKeyIds(idempotencyKey, body, sha256);
  return { kind: "planned", plan: { agentId, conversationId, parts: [{ ...first, keyIds }, ...rest] } };
}

/** Returns 422 `agent_required` for the default conversation of no agent, which a device silently ignores; else `null`. */
export function refuseWithoutAgent({ agentId, conversationId }: Conversation): PlainResponse | null {
  if (agentId !== "" || conversationId !== defaultConversationId) return null;
  const issues = [{ member: "agentId", rule: "is required unless conversationId names a conversation" }];
  return problemResponse("agent_required", { issues });
}

/** Plans a denial that no caller sent. */
export function planDenial(toolCallId: string, reason: string, sha256: Sha256): DeliveryPart {
  return toDecisionPart({ approve: false, tool_call_id: toolCallId, reason }, "tool_call_id", sha256);
}

/** The ids under which a part is stored: of its content, and of the key. */
export function storedIds({ messageIds, keyIds }: DeliveryPart): readonly string[] {
  return keyIds === null ? messageIds : [...messageIds, keyIds.key, keyIds.keyAndBody];
}

/** Whether an id is one of {@link KeyIds}. */
export function isKeyId(id: string): boolean {
  return id.length > maxReferenceLength && id.startsWith(keyIdPrefix);
}

/** Whether a stored id belongs to a caller's message. Ids of decisions and keys are longer. */
export function isMessageId(id: string): boolean {
  return id.length <= maxReferenceLength;
}

function toKeyIds(idempotencyKey: string, body: SendMessageBody, sha256: Sha256): KeyIds {
  const key = keyIdPrefix + sha256(idempotencyKey);
  return { key, keyAndBody: `${key}/${sha256(canonicalJson(body))}` };
}

/** Returns the issues of the ids of a part, or only of the ids that pass a test. */
export function messageIdIssues(
  { messageIds, members }: DeliveryPart,
  rule: string,
  test: (messageId: string) => boolean = () => true,
): ProblemIssue[] {
  return messageIds.flatMap((messageId, index) => (test(messageId) ? [{ member: members[index] ?? "", rule }] : []));
}

function toParts(messages: SendMessageBody["messages"], sha256: Sha256): DeliveryPart[] {
  const parts: DeliveryPart[] = [];
  let users: { readonly message: UserMessage; readonly member: string }[] = [];
  const endRun = (): void => {
    if (users.length > 0) parts.push(toMessagePart(users, sha256));
    users = [];
  };
  for (const [index, message] of messages.entries()) {
    if (!isApprovalMessage(message)) {
      users.push({ message, member: `messages[${index}].client_message_id` });
      continue;
    }
    endRun();
    for (const [position, approval] of message.approvals.entries()) {
      const member = `messages[${index}].approvals[${position}].tool_call_id`;
      if (isDecision(approval)) parts.push(toDecisionPart(approval, member, sha256));
    }
  }
  endRun();
  return parts;
}

function toMessagePart(
  users: readonly { readonly message: UserMessage; readonly member: string }[],
  sha256: Sha256,
): DeliveryPart {
  const messages = users.map(({ message }) => message);
  const content = canonicalJson(messages);
  return {
    keyIds: null,
    messageIds: messages.map((message) => message.client_message_id),
    members: users.map(({ member }) => member),
    toolCallId: null,
    requestedAt: null,
    length: content.length + queueItemLength * messages.length,
    fingerprint: sha256(content),
    payload: { kind: "create_message", messages },
  };
}

function toDecisionPart(approval: ApprovalDecision, member: string, sha256: Sha256): DeliveryPart {
  const decision = toApprovalResponse(approval);
  return {
    keyIds: null,
    messageIds: [decisionIdPrefix + approval.tool_call_id],
    members: [member],
    toolCallId: approval.tool_call_id,
    requestedAt: approval.requested_at ?? null,
    length: 0,
    fingerprint: sha256(canonicalJson(decision)),
    payload: { kind: "approval_response", request_id: `perm-${approval.tool_call_id}`, decision },
  };
}

function toApprovalResponse({
  approve,
  reason,
  updated_input: updatedInput,
  selected_permission_suggestion_ids: suggestionIds,
}: ApprovalDecision): ApprovalResponse {
  if (!approve) return { behavior: "deny", message: reason?.trim() ? reason : defaultDenial };
  return {
    behavior: "allow",
    ...(reason && { message: reason }),
    ...(updatedInput && { updated_input: updatedInput }),
    ...(suggestionIds && suggestionIds.length > 0 && { selected_permission_suggestion_ids: suggestionIds }),
  };
}

function isDecision(approval: ToolReturn | ApprovalDecision): approval is ApprovalDecision {
  return "approve" in approval;
}

/**
 * Finds frames with more messages than any device can queue: 429 `queue_full` would make the caller retry in vain. A decision separates frames, so the
 * messages before and after it are counted separately.
 */
function findTooManyMessages(parts: readonly DeliveryPart[]): ProblemIssue[] {
  if (parts.every(({ messageIds }) => messageIds.length <= maxWaitingMessages)) return [];
  return [{ member: "messages", rule: `must have at most ${maxWaitingMessages} user messages in a row` }];
}

/** The decisions and tool returns of a body, each with its member of the request. */
function approvalsOf(messages: SendMessageBody["messages"]) {
  return messages.flatMap((message, index) =>
    isApprovalMessage(message)
      ? message.approvals.map((approval, position) => ({
          approval,
          member: `messages[${index}].approvals[${position}]`,
        }))
      : [],
  );
}

/** A denial grants nothing. */
function findDenialsWithSuggestions(messages: SendMessageBody["messages"]): ProblemIssue[] {
  return approvalsOf(messages).flatMap(({ approval, member }) => {
    if (!isDecision(approval) || approval.approve || !approval.selected_permission_suggestion_ids?.length) return [];
    return [{ member: `${member}.selected_permission_suggestion_ids`, rule: "must be absent or empty in a denial" }];
  });
}

function findToolReturns(messages: SendMessageBody["messages"]): ProblemIssue[] {
  return approvalsOf(messages).flatMap(({ approval, member }) =>
    isDecision(approval) ? [] : [{ member, rule: "must be a decision, not a tool return" }],
  );
}

function findRepeatedIds(parts: readonly DeliveryPart[]): ProblemIssue[] {
  const seen = new Set<string>();
  return parts.flatMap((part) =>
    messageIdIssues(part, "must differ from the other ids of the request", (messageId) => {
      const isRepeated = seen.has(messageId);
      seen.add(messageId);
      return isRepeated;
    }),
  );
}
