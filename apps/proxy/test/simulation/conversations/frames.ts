/** The frames of a simulated device, with the members that the gateway reads. */

/** The conversation of a frame. */
export interface Runtime {
  readonly agent_id: string | null;
  readonly conversation_id: string;
}

/** A frame of the gateway, with the members of every type that a program reads. */
export interface GatewayFrame {
  readonly type: string;
  readonly request_id: string;
  readonly runtime: Runtime;
  readonly item_id?: string;
  readonly conversation_id?: string;
  readonly payload?: {
    readonly kind?: string;
    readonly mode?: string;
    readonly request_id?: string;
    readonly decision?: { readonly behavior: "allow" | "deny" };
    readonly messages?: readonly { readonly client_message_id: string; readonly content: string }[];
  };
}

/** Adds the conversation. The type stays the first member, as in the frames of a device. */
export function scoped(runtime: Runtime, frame: object): object {
  return { ...frame, runtime };
}

export function loopFrame(
  status: string,
  activeRunId: string | null,
  runs: ReadonlyMap<string, readonly string[]>,
): object {
  const loop = {
    status,
    active_run_ids: activeRunId === null ? [] : [activeRunId],
    ...(runs.size > 0 && { client_message_ids_by_run_id: Object.fromEntries(runs) }),
    executing_tool_call_ids: [],
  };
  return { type: "update_loop_status", loop_status: loop };
}

export function deviceStatusFrame(mode: string, isProcessing: boolean, pending: object | null): object {
  const status = {
    is_online: true,
    is_processing: isProcessing,
    current_permission_mode: mode,
    pending_control_requests: pending === null ? [] : [pending],
  };
  return { type: "update_device_status", device_status: status };
}

export function queueFrame(
  items: readonly { readonly id: string; readonly client_message_id: string | undefined; readonly isPaused: boolean }[],
  removed: readonly object[],
): object {
  const queue = items.map(({ isPaused, ...item }) => ({
    ...item,
    kind: "message",
    source: "user",
    ...(isPaused && { paused: true }),
  }));
  return { type: "update_queue", queue, removed };
}

/** The response to the question for a named conversation. Each belongs to the agent that a limited key may use. */
export function conversationFrame(requestId: string, conversationId: string | undefined): object {
  const conversation = { id: conversationId, agent_id: "agent-1" };
  return { type: "conversation_retrieve_response", request_id: requestId, success: true, conversation };
}

export function textDelta(id: string, text: string): object {
  const delta = { message_type: "assistant_message", id, content: [{ type: "text", text }] };
  return { type: "stream_delta", delta };
}

export function turnFinishedFrame(stopReason: string, runId: string | null): object {
  const end = runId === null ? { error: "The turn failed before a run" } : { run_id: runId };
  return { type: "turn_finished", stop_reason: stopReason, ...end };
}
