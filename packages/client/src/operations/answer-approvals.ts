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

/** Answers requests for permission of a device. */
export type AnswerApprovals = (
  transport: Transport,
  device: DeviceSelector,
  toolCallIds: string | readonly string[],
  details?: ApprovalDetails,
  options?: SendToDeviceOptions,
) => PendingCall<SendToDeviceResult>;

// @__NO_SIDE_EFFECTS__
const answerWith =
  (isApproved: boolean): AnswerApprovals =>
  (transport, device, toolCallIds, { reason, updatedInput, ...target } = {}, options) =>
    sendToDevice(
      transport,
      device,
      {
        messages: [
          {
            type: "approval",
            approvals: [toolCallIds].flat().map(
              (id) =>
                // A member that is undefined is absent, as it is in JSON.
                ({
                  type: "approval",
                  approve: isApproved,
                  tool_call_id: id,
                  reason,
                  updated_input: updatedInput,
                }) as ApprovalDecision,
            ),
          },
        ],
        ...target,
      },
      options,
    );

/**
 * Lets a device run the tool calls for which it asked permission. It is never repeated after a broken connection: an answer
 * has no id by which a server would recognise it. Rejects with a `LettaEnvironmentsError`.
 */
export const approve: AnswerApprovals = answerWith(true);

/** Refuses tool calls for which a device asked permission; see {@link approve}. */
export const deny: AnswerApprovals = answerWith(false);
