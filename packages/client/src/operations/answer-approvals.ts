import type { ApprovalDecision } from "@letta-environments/schema";
import type { PendingCall } from "../pending-call.ts";
import type { Transport } from "../transport.ts";
import type { DeviceSelector } from "./find-device.ts";
import { sendToDevice, type SendToDeviceOptions, type SendToDeviceResult } from "./send-to-device.ts";

/** What goes along with an answer to requests for permission. */
export interface ApprovalDetails {
  /** Needed unless `conversationId` names a conversation. */
  readonly agentId?: string | undefined;
  readonly conversationId?: string | null | undefined;
  /** Shown to the agent. */
  readonly reason?: string | undefined;
  /** Replaces the input with which the tool would have run. */
  readonly updatedInput?: Record<string, unknown> | undefined;
}

/**
 * Lets a device run the tool calls for which it asked permission. It is never repeated after a broken connection: an answer
 * has no id by which a server would recognise it. Rejects with a `LettaEnvironmentsError`.
 */
export function approve(
  transport: Transport,
  device: DeviceSelector,
  toolCallIds: string | readonly string[],
  details?: ApprovalDetails,
  options?: SendToDeviceOptions,
): PendingCall<SendToDeviceResult> {
  return answer(true, transport, device, toolCallIds, details, options);
}

/** Refuses tool calls for which a device asked permission; see {@link approve}. */
export function deny(
  transport: Transport,
  device: DeviceSelector,
  toolCallIds: string | readonly string[],
  details?: ApprovalDetails,
  options?: SendToDeviceOptions,
): PendingCall<SendToDeviceResult> {
  return answer(false, transport, device, toolCallIds, details, options);
}

function answer(
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
    // A member that is undefined is absent, as it is in JSON.
    return decision as ApprovalDecision;
  });
  return sendToDevice(transport, device, { messages: [{ type: "approval", approvals }], ...target }, options);
}
