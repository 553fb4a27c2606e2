/**
 * Requests of devices for permission to use a tool, the decisions on them, and the port that stores both. A request is pending until it
 * is decided here or the device no longer lists it.
 */
import type { ApprovalSuggestion as ReportedSuggestion } from "@letta-environments/schema";
import type { ConversationScope } from "./message-log.ts";

/** A rule that a device offers with a request for permission, such as to allow the same command from now on. */
export type ApprovalSuggestion = Readonly<ReportedSuggestion>;

/** A request for permission to use a tool, as a device reports it. */
export interface ApprovalRequest {
  /** The device matches the decision to its request by this id. */
  readonly requestId: string;
  readonly toolCallId: string;
  readonly tool: string;
  /** Arguments of the tool. Long texts and long lists are cut; `null` when the device reports none, or when they cannot be shown. */
  readonly input: Readonly<Record<string, unknown>> | null;
  /** The device runs the tool with more than `input` shows. */
  readonly isInputCut: boolean;
  /** Why the device does not run the tool on its own, in words. */
  readonly reason: string | null;
  readonly suggestions: readonly ApprovalSuggestion[];
}

/** `denied_tool`: a policy always denies the tool. `deadline`: nobody decided in the time that a policy sets. */
export type ApprovalPolicyName = "denied_tool" | "deadline";

/** When a policy denies a request, in epoch milliseconds, and which policy. */
export interface ApprovalExpiry {
  readonly at: number;
  readonly policy: ApprovalPolicyName;
}

/** A decision on a request. */
export interface Decision {
  readonly behavior: "allow" | "deny";
  /** The text that the device receives, cut if it is long; a denial always has one. */
  readonly reason: string | null;
  /** Id of the key that decided, or `policy:` and the name of the policy. */
  readonly decidedBy: string;
  /** Epoch milliseconds. */
  readonly decidedAt: number;
}

/** A request, and the decision on it once there is one. */
export interface StoredApproval {
  readonly tenant: string;
  readonly scope: ConversationScope;
  readonly request: ApprovalRequest;
  /** The message whose turn makes the request; `null` when it is not known. */
  readonly messageId: string | null;
  /** When this server learned of it, in epoch milliseconds. */
  readonly requestedAt: number;
  /** `null` when no policy denies it. */
  readonly expiry: ApprovalExpiry | null;
  readonly decision: Decision | null;
}

/** Identifies a request: a tool call in a conversation on a device. */
export interface ApprovalKey {
  readonly scope: ConversationScope;
  readonly toolCallId: string;
}

/** The key of a request. */
export function keyOf({ scope, request: { toolCallId } }: StoredApproval): ApprovalKey {
  return { scope, toolCallId };
}

/** Identifies a request within all rows. */
export function serialiseKey({ scope: { environmentId, agentId, conversationId }, toolCallId }: ApprovalKey): string {
  return JSON.stringify([environmentId, agentId, conversationId, toolCallId]);
}

/** Returns a request as a log keeps it: without its input, once it is decided. */
export function withoutDecidedInput(approval: StoredApproval): StoredApproval {
  return approval.decision === null ? approval : { ...approval, request: { ...approval.request, input: null } };
}

/** How many decisions are kept, and for how long. */
export interface ApprovalLogLimits {
  /** From the decision on, in milliseconds. */
  readonly durationMs: number;
  /** Decisions of all rows. */
  readonly maxDecisions: number;
}

/** Requests and decisions. Each method is atomic, and durable when its promise resolves. */
export interface ApprovalLog {
  /**
   * Adds or replaces requests, and removes others. The input of a decided request is not kept. Requests of a
   * row that no longer exists are left out.
   */
  saveApprovals(saved: readonly StoredApproval[], removed: readonly ApprovalKey[]): Promise<void>;
  /** Returns the pending requests of all rows, or of one, the oldest first. */
  findPendingApprovals(limit: number, environmentId?: string): Promise<readonly StoredApproval[]>;
  /** Returns a decided request; `null` when it is undecided or forgotten. */
  findDecidedApproval(key: ApprovalKey): Promise<StoredApproval | null>;
  /**
   * Removes decided requests that are older than their retention or exceed its limit, at most `limit`. Returns whether there may be more.
   *
   * @param nowMs wall time by which they expire; may be earlier than the time of the latest decisions
   */
  pruneApprovals(nowMs: number, limit: number): Promise<boolean>;
}
