/** Lists the tool calls for which devices request permission, and allows or denies them. */
import type { Approval, ApprovalDecision, ApprovalList, ApprovalMessage } from "@letta-environments/schema";
import { findApprovalListMismatch } from "@letta-environments/schema/guards";
import { checkFlag, checkMembers, checkRecord } from "../check.ts";
import { createError } from "../error.ts";
import type { RequestOptions } from "../options.ts";
import { encodeQuery } from "../query.ts";
import { type PendingCall, pendingCall } from "../request.ts";
import { checkNext } from "../response.ts";
import type { Transport } from "../transport.ts";
import type { ConversationInput } from "./control.ts";
import { sendExtension } from "./extension.ts";
import type { DeviceSelector } from "./find-device.ts";
import { encodeMessages } from "./message.ts";
import { pendingSend, postMessages, type SendMessageResult } from "./send.ts";
import { sendToDevice, type SendToDeviceOptions, type SendToDeviceResult } from "./send-to-device.ts";

/** The page of a list of requests for permission. */
export interface ListApprovalsInput {
  /** `cursor` of the previous page. */
  readonly after?: string | undefined;
  /** Requests in a page, 1 to 100. */
  readonly limit?: number | undefined;
}

/**
 * Lists the pending requests for permission of every device that the key can reach, the oldest first. Rejects with a
 * `LettaEnvironmentsError`.
 */
export function listApprovals(
  transport: Transport,
  query?: ListApprovalsInput | null,
  options?: RequestOptions,
): PendingCall<ApprovalList> {
  return pendingCall(async () => {
    const page = await sendExtension<ApprovalList>(
      transport,
      {
        operation: "listApprovals",
        path: `/v1/environments/approvals${encodeQuery(query)}`,
        safety: "read",
        findMismatch: findApprovalListMismatch,
        needed: { approvals: [{ id: "" }], hasNextPage: true },
      },
      options,
      "environment_not_found",
    );
    checkNext(page.data.hasNextPage, "cursor", page.data.cursor, page);
    return page;
  });
}

/** Members of a decision besides `approve`. */
interface DecisionDetails {
  /** Shown to the agent. */
  readonly reason?: string | undefined;
  /**
   * Ids of the request's `suggestions`, to allow more than this tool call from now on. They grant lasting permissions on the device. Not
   * with a denial.
   */
  readonly suggestions?: readonly string[] | undefined;
  /** Replaces the input of the tool. */
  readonly updatedInput?: Record<string, unknown> | undefined;
}

/** A decision on a request for permission. */
export interface ApprovalVerdict extends DecisionDetails {
  readonly approve: boolean;
}

/**
 * Decides a request for permission that was listed or streamed. If its device has since asked for something else under the same id, nothing is
 * decided: `approval_not_found`. The first decision counts: a different later one fails with `approval_decided`, with the first in
 * `problem.approval`. Rejects with a `LettaEnvironmentsError`; `device_offline` if the device is offline.
 */
export function decideApproval(
  transport: Transport,
  approval: Pick<Approval, "id" | "connectionId" | "deviceId" | "agentId" | "conversationId"> &
    Partial<Pick<Approval, "requestedAt">>,
  verdict: ApprovalVerdict,
  options?: RequestOptions,
): PendingCall<SendMessageResult> {
  return pendingSend(async () => {
    checkRecord("approval", approval);
    checkMembers("verdict", verdict, ["approve", ...detailNames]);
    const { approve: isApproved, ...details } = verdict;
    // Without it, the server would take the message for the result of a tool.
    checkFlag("approve", isApproved);
    const { id, connectionId, deviceId, agentId, conversationId } = approval;
    if (connectionId === null)
      throw createError("device_offline", {
        message: `device ${deviceId} is offline; nothing was sent`,
        retryable: true,
      });
    const messages = [decisionMessage(isApproved, [id], details, approval.requestedAt)];
    const body = encodeMessages({ messages, agentId: agentId ?? undefined, conversationId });
    return postMessages(transport, connectionId, body, options);
  });
}

/** Details of a decision, and the conversation of its tool calls. */
export interface ApprovalDetails extends ConversationInput, DecisionDetails {}

/** Sends the same decision on one or more tool calls of a device. */
export type DecideApprovals = (
  transport: Transport,
  device: DeviceSelector,
  toolCallIds: string | readonly string[],
  details?: ApprovalDetails,
  options?: SendToDeviceOptions,
) => PendingCall<SendToDeviceResult>;

/**
 * Allows tool calls. Decisions have no ids that would let a server recognise a repeat, so they are repeated only if
 * nothing was delivered. Rejects with a `LettaEnvironmentsError`.
 */
export const approve: DecideApprovals = (...parameters) => sendDecisions(true, ...parameters);

/** Denies tool calls; see {@link approve}. */
export const deny: DecideApprovals = (...parameters) => sendDecisions(false, ...parameters);

function sendDecisions(
  isApproved: boolean,
  transport: Transport,
  device: DeviceSelector,
  toolCallIds: string | readonly string[],
  details: ApprovalDetails = {},
  options?: SendToDeviceOptions,
): PendingCall<SendToDeviceResult> {
  return pendingSend(async () => {
    checkMembers("details", details, ["agentId", "conversationId", ...detailNames]);
    const { agentId, conversationId } = details;
    const messages = [decisionMessage(isApproved, [toolCallIds].flat(), details)];
    return sendToDevice(transport, device, { messages, agentId, conversationId }, options).withResponse();
  });
}

/** Members of a decision. A member with another name, such as `updated_input`, would not reach the device, and the tool would run without it. */
const detailNames: readonly (keyof DecisionDetails)[] = ["reason", "updatedInput", "suggestions"];

function decisionMessage(
  isApproved: boolean,
  toolCallIds: readonly string[],
  { reason, updatedInput, suggestions }: DecisionDetails,
  requestedAt?: number,
): ApprovalMessage {
  const approvals = toolCallIds.map((id) => {
    const decision = {
      type: "approval",
      approve: isApproved,
      tool_call_id: id,
      reason,
      requested_at: requestedAt,
      selected_permission_suggestion_ids: suggestions,
      updated_input: updatedInput,
    };
    // Members that are undefined are absent in JSON.
    return decision as ApprovalDecision;
  });
  return { type: "approval", approvals };
}
