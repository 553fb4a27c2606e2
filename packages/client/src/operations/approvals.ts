/** Allows or denies tool calls for which a device has requested permission. */
import type { ApprovalDecision } from "@letta-environments/schema";
import type { PendingCall } from "../request.ts";
import type { Transport } from "../transport.ts";
import { type DeviceSelector, sendToDevice, type SendToDeviceOptions, type SendToDeviceResult } from "./device.ts";

/** Details of a decision. */
export interface ApprovalDetails {
  /** Required unless `conversationId` names a conversation. */
  readonly agentId?: string | undefined;
  readonly conversationId?: string | null | undefined;
  /** Shown to the agent. */
  readonly reason?: string | undefined;
  /** Replaces the input of the tool. */
  readonly updatedInput?: Record<string, unknown> | undefined;
}

/** Sends the same decision on one or more tool calls of a device. */
export type AnswerApprovals = (
  transport: Transport,
  device: DeviceSelector,
  toolCallIds: string | readonly string[],
  details?: ApprovalDetails,
  options?: SendToDeviceOptions,
) => PendingCall<SendToDeviceResult>;

/**
 * Allows tool calls. Decisions have no ids by which a server could recognise a repeat, so they are never repeated after a
 * broken connection. Rejects with a `LettaEnvironmentsError`.
 */
export const approve: AnswerApprovals = (...parameters) => sendDecisions(true, ...parameters);

/** Denies tool calls; see {@link approve}. */
export const deny: AnswerApprovals = (...parameters) => sendDecisions(false, ...parameters);

function sendDecisions(
  isApproved: boolean,
  transport: Transport,
  device: DeviceSelector,
  toolCallIds: string | readonly string[],
  details?: ApprovalDetails,
  options?: SendToDeviceOptions,
): PendingCall<SendToDeviceResult> {
  const { reason, updatedInput, ...target } = details ?? {};
  const approvals = [toolCallIds].flat().map((id) => {
    const decision = { type: "approval", approve: isApproved, tool_call_id: id, reason, updated_input: updatedInput };
    // Members that are undefined are absent in JSON.
    return decision as ApprovalDecision;
  });
  return sendToDevice(transport, device, { messages: [{ type: "approval", approvals }], ...target }, options);
}
