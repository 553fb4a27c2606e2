/**
 * Decides how a viewer's frame is handled: a pure function of the frame and the permissions of the key. Nothing reaches a device
 * unless this function allows it. Whether the key may use the device at all is decided where its row is read.
 */
import type { Principal } from "@letta-environments/schema";
import { type Members, membersOf, readLine } from "../dialects/values.ts";
import { type ApiCall, isDecision, translatedTypes, translateFrame } from "./api-calls.ts";
import { type Conversation, toWireRuntime } from "../dialects/conversation.ts";
import {
  invalidFrame,
  readTarget,
  refusal,
  type RefusedFrame,
  refuseFrame,
  scopeRefusal,
  type ViewerFrame,
} from "./frame.ts";
import { checkRuntimeStart } from "./runtime-start.ts";
import { responseTypeOf, scopeOfFrame, type ViewerScope } from "./scopes.ts";

/** A frame that goes to the device, without the viewer's `request_id`. */
export interface ViewerCommand {
  readonly type: string;
  readonly scope: ViewerScope;
  readonly members: Members;
  /** The subject of the frame, for the audit log; `null` if the frame does not name one. */
  readonly agentId: string | null;
  readonly conversationId: string | null;
  /** The conversation that a key limited to agents must be allowed to use; `null` for none, or if such a key must not send the frame at all. */
  readonly runtime: Conversation | null;
  /** The type of its response; `null` when the device sends none. */
  readonly responseType: string | null;
  /** The viewer's id of the terminal; `null` for any other frame. */
  readonly terminalId: string | null;
}

/** The decision about a frame. */
export type FrameDecision =
  | { readonly kind: "ping" }
  /** `pong`, or the number of the last frame that the viewer has handled. */
  | { readonly kind: "received"; readonly seq: number | null }
  | {
      readonly kind: "calls";
      readonly scope: ViewerScope;
      readonly runtime: Conversation;
      readonly calls: readonly ApiCall[];
    }
  | { readonly kind: "command"; readonly command: ViewerCommand }
  | RefusedFrame;

const maxTerminalIdLength = 128;

/**
 * Decides how a frame of a viewer is handled.
 *
 * @param newId returns an id for a message that has none
 */
export function checkFrame(frame: ViewerFrame, principal: Principal, newId: () => string): FrameDecision {
  const { type, members } = frame;
  if (type === "ping") return { kind: "ping" };
  if (type === "pong") return { kind: "received", seq: null };
  if (type === "ack") return readAcknowledgement(members);
  const listed = scopeOfFrame(type);
  if (listed === null) return refuseFrame(refusal("unknown_frame_type", "No key may send frames of this type."));
  const scope = type === "input" && isDecision(frame) ? "approve" : listed;
  const denied = scopeRefusal(scope, principal, "this frame");
  if (denied !== null) return refuseFrame(denied);
  if (translatedTypes.has(type)) {
    const translated = translateFrame(frame, principal, newId);
    return translated.kind === "refused" ? translated : { ...translated, scope };
  }
  return toCommand(frame, scope, principal);
}

function readAcknowledgement({ seq }: Members): FrameDecision {
  if (typeof seq === "number" && Number.isSafeInteger(seq) && seq >= 0) return { kind: "received", seq };
  return refuseFrame(invalidFrame("seq must be the number of a frame"));
}

function toCommand({ type, members }: ViewerFrame, scope: ViewerScope, principal: Principal): FrameDecision {
  switch (type) {
    case "app_server_info":
      return allow(type, scope, { type });
    case "sync": {
      const target = readTarget(members["runtime"], principal);
      if (target.kind === "refused") return target;
      const { runtime } = target;
      const sync = {
        type,
        runtime: toWireRuntime(runtime),
        recover_approvals: members["recover_approvals"] === true && principal.scopes.has("control"),
        force_device_status: members["force_device_status"] === true,
      };
      return allow(type, scope, sync, { runtime });
    }
    case "runtime_start": {
      const checked = checkRuntimeStart(members, principal);
      return checked.kind === "refused" ? checked : allow(type, scope, checked.members, { runtime: checked.runtime });
    }
    default:
      return scope === "terminal" ? toTerminal(type, members) : allow(type, scope, withoutClaims(members));
  }
}

function toTerminal(type: string, members: Members): FrameDecision {
  const { terminal_id: terminalId } = members;
  if (typeof terminalId !== "string" || terminalId === "" || terminalId.length > maxTerminalIdLength) {
    return refuseFrame(invalidFrame(`terminal_id must be a string of 1 to ${maxTerminalIdLength} characters`));
  }
  return allow(type, "terminal", members, { terminalId });
}

/** Removes `acting_user_id`, by which a caller could claim to act for another user. */
function withoutClaims(members: Members): Members {
  const { acting_user_id: _claimed, runtime, ...rest } = members;
  if (typeof runtime !== "object" || runtime === null) return runtime === undefined ? rest : { ...rest, runtime };
  const { acting_user_id: _user, ...scope } = runtime as Members;
  return { ...rest, runtime: scope };
}

function allow(
  type: string,
  scope: ViewerScope,
  members: Members,
  { terminalId = null, runtime = null }: Partial<Pick<ViewerCommand, "terminalId" | "runtime">> = {},
): FrameDecision {
  const { request_id: _requestId, ...rest } = members;
  const inner = membersOf(members["runtime"]);
  const find = (name: string): string | null =>
    readLine(typeof members[name] === "string" ? members[name] : inner[name]);
  return {
    kind: "command",
    command: {
      type,
      scope,
      members: rest,
      agentId: find("agent_id"),
      conversationId: find("conversation_id"),
      runtime,
      responseType: responseTypeOf(type),
      terminalId,
    },
  };
}
