import type { UserMessage } from "@letta-environments/schema";
import type { FrameRuntime } from "./parse-frame.ts";

/** The answer to a device's `{"type":"ping"}`; a device that misses four of them drops its socket. */
export const pongFrame: string = JSON.stringify({ type: "pong" });

/**
 * The v2 frame that hands messages to a device. With a `request_id` the device answers `input_accepted`; a conversation
 * without an agent has `agent_id: null`. Messages go out as they came in, unknown members included.
 */
export function buildInputFrame(requestId: string, runtime: FrameRuntime, messages: readonly UserMessage[]): string {
  return JSON.stringify({
    type: "input",
    request_id: requestId,
    runtime: toWireRuntime(runtime),
    payload: { kind: "create_message", messages },
  });
}

/** The frame that makes a device tell the state of a conversation again, its queue included. */
export function buildSyncFrame(requestId: string, runtime: FrameRuntime): string {
  return JSON.stringify({
    type: "sync",
    request_id: requestId,
    runtime: toWireRuntime(runtime),
    recover_approvals: false,
  });
}

function toWireRuntime({ agentId, conversationId }: FrameRuntime): {
  agent_id: string | null;
  conversation_id: string;
} {
  return { agent_id: agentId === "" ? null : agentId, conversation_id: conversationId };
}
