/**
 * The ids that a send reserves. A body with user messages reserves their ids, each with a digest of all user messages of the body;
 * a decision or the result of a tool reserves its tool call, with a digest of that member only; and the `Idempotency-Key` stands
 * for the whole body. A decision with `requested_at` also reserves that request, because a device can make several under one tool call id. Prefixes
 * keep the kinds apart, so no caller can take the id of a decision that it may not make.
 */
import type { Sha256 } from "@letta-environments/platform";
import {
  type ApprovalDecision,
  canonicalJson,
  defaultConversationId,
  isApprovalMessage,
  type ProblemIssue,
  problemResponse,
  refused,
  type Refused,
  type SendMessageBody,
  type UserMessage,
} from "@letta-environments/schema";
import type { SendEntry, SendScope } from "./store.ts";

/** The most ids in one send. */
export const maxIds = 256;

/**
 * The kind of thing that an id identifies. `tool_call` is that of a decision on a request: another request can have it, and earlier versions know
 * the decision by it alone.
 */
export type EntryKind = "message" | "decision" | "tool_call" | "tool_return" | "key";

/** An id of a send, with its place in the request. */
export interface RequestedEntry extends SendEntry {
  readonly kind: EntryKind;
  /** The member or header that holds the id, for texts of problems. */
  readonly member: string;
}

/** The ids of a send, and the conversation in which they are unique. */
export interface SendIds extends Pick<SendScope, "agentId" | "conversationId"> {
  readonly entries: readonly RequestedEntry[];
}

/** The ids of a body, or the response that refuses it. */
export type ReadIds = { readonly kind: "read"; readonly ids: SendIds } | Refused;

/** Returns the id under which a user message is stored. */
export function messageEntryId(clientMessageId: string): string {
  return `message:${clientMessageId}`;
}

/** Reads the ids of a send. Refuses, with 400 `invalid_request`, a body that has an id twice or more than {@link maxIds} ids. */
export function readSendIds(body: SendMessageBody, idempotencyKey: string | null, sha256: Sha256): ReadIds {
  const digest = (value: unknown): string => sha256(canonicalJson(value));
  const users = body.messages.filter((message): message is UserMessage => !isApprovalMessage(message));
  const usersFingerprint = users.length === 0 ? "" : digest(users);
  const entries = body.messages.flatMap((message, index): RequestedEntry[] => {
    if (!isApprovalMessage(message)) {
      const member = `messages[${index}].client_message_id`;
      return [
        { kind: "message", id: messageEntryId(message.client_message_id), fingerprint: usersFingerprint, member },
      ];
    }
    return message.approvals.flatMap((approval, position): RequestedEntry[] => {
      const kind = "approve" in approval ? "decision" : "tool_return";
      const member = `messages[${index}].approvals[${position}].tool_call_id`;
      const fingerprint = digest("approve" in approval ? normaliseDecision(approval) : approval);
      const { tool_call_id: toolCallId } = approval;
      const entry: RequestedEntry = { kind, id: `${kind}:${toolCallId}`, fingerprint, member };
      const requestedAt = "approve" in approval ? (approval.requested_at ?? null) : null;
      if (requestedAt === null) return [entry];
      return [
        { ...entry, kind: "tool_call" },
        { ...entry, id: `request:${requestedAt}:${toolCallId}` },
      ];
    });
  });
  if (idempotencyKey !== null) {
    entries.push({
      kind: "key",
      id: `key:${idempotencyKey}`,
      fingerprint: digest(body),
      member: "idempotency-key",
    });
  }
  const issues = findIssues(entries);
  if (issues.length > 0) return refused(problemResponse("invalid_request", { issues }));
  const agentId = body.agentId ?? "";
  const conversationId = body.conversationId || defaultConversationId;
  return { kind: "read", ids: { agentId, conversationId, entries } };
}

/** Absent, null and empty members of a decision mean the same. */
function normaliseDecision({ type: _type, ...decision }: ApprovalDecision): unknown {
  const {
    reason,
    updated_input: updatedInput,
    selected_permission_suggestion_ids: selected,
    requested_at: requestedAt = null,
    ...rest
  } = decision;
  return {
    ...rest,
    reason: reason || null,
    updated_input: updatedInput ?? null,
    ...(requestedAt !== null && { requested_at: requestedAt }),
    ...(selected && selected.length > 0 && { selected_permission_suggestion_ids: selected }),
  };
}

function findIssues(entries: readonly RequestedEntry[]): readonly ProblemIssue[] {
  if (entries.length === 1) return [];
  if (entries.filter(({ kind }) => kind !== "tool_call").length > maxIds)
    return [{ member: "messages", rule: `must have at most ${maxIds} ids` }];
  const seen = new Set<string>();
  const repeated = entries.filter(({ id }) => seen.size === seen.add(id).size);
  // A decision on a request has two ids.
  const members = new Set(repeated.map(({ member }) => member));
  return [...members].map((member) => ({ member, rule: "must differ from the other ids of the request" }));
}
