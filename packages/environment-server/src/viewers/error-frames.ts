/** The error frames that a viewer receives for a frame that had no effect. */
import { toWireRuntime } from "../dialects/conversation.ts";
import { type Members, readId, readRuntime } from "../dialects/values.ts";
import type { FrameRefusal } from "./frame.ts";
import { responseTypeOf } from "./scopes.ts";

/** The parts of the frame that could be read. */
export interface FrameParts {
  readonly type: string | null;
  readonly requestId: string | null;
  readonly members: Members;
}

/** The members of a frame by which the vendor's client matches a response that may be sent later, each of limited length. */
export function repeatedMembers({ runtime, process_id: processId }: Members): Members {
  const conversation = readRuntime(runtime);
  return {
    ...("kind" in conversation ? null : { runtime: toWireRuntime(conversation) }),
    ...(processId !== undefined && { process_id: readId(processId) }),
  };
}

/** Builds the error frame. It names the type of the frame and the scope that is missing. */
export function errorFrame({ type, requestId }: FrameParts, { code, message, scope }: FrameRefusal): Members {
  return {
    type: "error",
    ...(requestId !== null && { request_id: requestId }),
    frame_type: type,
    code,
    message,
    ...(scope !== null && { scope }),
  };
}

/**
 * Builds the equivalent response of the device protocol, because the vendor's client waits for it and does not know the error
 * frame; `null` when the protocol has none.
 */
export function failureFrame({ type, requestId, members }: FrameParts, { message }: FrameRefusal): Members | null {
  const responseType = type === null ? null : responseTypeOf(type);
  if (responseType === null || requestId === null) return null;
  const frame = { type: responseType, request_id: requestId, error: message };
  const runtime = members["runtime"] ?? null;
  switch (type) {
    case "input":
      return { ...frame, runtime, accepted: false };
    case "abort_message":
      return { ...frame, runtime, aborted: false, success: false };
    case "resume_queue":
      return { ...frame, runtime, resumed: 0, success: false };
    case "remove_queue_item":
      return { ...frame, item_id: members["item_id"] ?? null, success: false };
    case "monitor_stop":
      return { ...frame, runtime, process_id: members["process_id"] ?? null, stopped: false, success: false };
    case "runtime_start": {
      const created = { agent: false, conversation: false };
      return { ...frame, success: false, runtime: null, agent: null, conversation: null, created };
    }
    default:
      return { ...frame, ...(runtime !== null && { runtime }), success: false };
  }
}
