/** The frames that this server sends to a device. */
import type { UserMessage } from "@letta-environments/schema";
import { type Conversation, toWireRuntime } from "./conversation.ts";

/** The payload of an `input` frame. */
export type InputPayload =
  | { readonly kind: "create_message"; readonly messages: readonly UserMessage[] }
  | { readonly kind: "approval_response"; readonly request_id: string; readonly decision: ApprovalResponse };

/** The response to a request for permission to use a tool. A device requires a message with a denial. */
export type ApprovalResponse =
  | {
      readonly behavior: "allow";
      readonly message?: string;
      readonly updated_input?: Readonly<Record<string, unknown>>;
      readonly selected_permission_suggestion_ids?: readonly string[];
    }
  | { readonly behavior: "deny"; readonly message: string };

/** Response to a device's `{"type":"ping"}`. A device drops its socket when four of its pings have no response. */
export const pongFrame: string = JSON.stringify({ type: "pong" });

/** Builds the frame that delivers messages or a decision. Devices since 0.30.3 acknowledge it with `input_accepted`. */
export function buildInputFrame(requestId: string, runtime: Conversation, payload: InputPayload): string {
  return JSON.stringify({ type: "input", request_id: requestId, runtime: toWireRuntime(runtime), payload });
}

/**
 * Builds the frame that makes a device report the state of a conversation, including its queue.
 *
 * @param options `isStatusForced`: also a status that it has reported already
 */
export function buildSyncFrame(
  requestId: string,
  runtime: Conversation,
  { isStatusForced }: { readonly isStatusForced: boolean } = { isStatusForced: false },
): string {
  return JSON.stringify({
    type: "sync",
    request_id: requestId,
    runtime: toWireRuntime(runtime),
    recover_approvals: false,
    ...(isStatusForced && { force_device_status: true }),
  });
}
