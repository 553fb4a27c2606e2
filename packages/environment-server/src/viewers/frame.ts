/**
 * Parses the untrusted frames of a viewer: a frame is a JSON object with a type, bounded in size, depth and number of values. Also decides whether a key may use the
 * scope that a frame needs and the conversation that it names, and builds the frames by which a viewer learns that its frame had no effect.
 */
import { allowsAgent, allowsScope, findExcess, type Principal } from "@letta-environments/schema";
import { type Conversation, toWireRuntime } from "../dialects/conversation.ts";
import { type Members, membersOf, parseObject, readId, readRuntime } from "../dialects/values.ts";
import { maxViewerFrameLength } from "../limits.ts";
import { responseTypeOf, type ViewerScope } from "./scopes.ts";

/** A frame of a viewer. */
export interface ViewerFrame {
  readonly type: string;
  /** The viewer's own id for it; `null` for none. */
  readonly requestId: string | null;
  readonly members: Members;
}

/** Why a frame is refused. */
export interface FrameRefusal {
  /** For programs, such as `insufficient_scope`. The code of an API problem if there is one. */
  readonly code: string;
  /** For people. */
  readonly message: string;
  /** The scope that is missing; `null` when the reason is another one. */
  readonly scope: ViewerScope | null;
}

/** A frame that is refused. */
export interface RefusedFrame {
  readonly kind: "refused";
  readonly refusal: FrameRefusal;
}

/** A frame, or the reason why a text is not one. `type` is set if it could be read. */
export type ParsedViewerFrame =
  | { readonly kind: "frame"; readonly frame: ViewerFrame }
  | { readonly kind: "malformed"; readonly type: string | null; readonly refusal: FrameRefusal };

/** Longest `request_id` of a viewer, in characters. */
const maxRequestIdLength = 256;
const typePattern = /^[a-z_]{1,64}$/;

/** Parses a text frame. It never throws. */
export function parseViewerFrame(text: string): ParsedViewerFrame {
  if (text.length > maxViewerFrameLength) return tooLarge;
  const excess = findExcess(text);
  if (excess !== null) return malformed(excess);
  const members = parseObject(text);
  if (typeof members === "string") return malformed(members);
  const { type } = members;
  const requestId = members["request_id"] ?? null;
  if (typeof type !== "string" || !typePattern.test(type)) return malformed("must have a type");
  const isId = typeof requestId === "string" && requestId !== "" && requestId.length <= maxRequestIdLength;
  if (isId || requestId === null) return { kind: "frame", frame: { type, requestId, members } };
  return malformed(`must have no request_id, or one of 1 to ${maxRequestIdLength} characters`, type);
}

/** The response to a frame that is too large to be parsed. */
export const tooLarge: ParsedViewerFrame & { readonly kind: "malformed" } = {
  kind: "malformed",
  type: null,
  refusal: refusal("frame_too_large", `A frame must have at most ${maxViewerFrameLength} characters.`),
};

function malformed(rule: string, type: string | null = null): ParsedViewerFrame {
  return { kind: "malformed", type, refusal: refusal("malformed_frame", `The frame ${rule}.`) };
}

/** Refuses a frame. */
export function refuseFrame(reason: FrameRefusal): RefusedFrame {
  return { kind: "refused", refusal: reason };
}

/** Returns a refusal that is not about a scope. */
export function refusal(code: string, message: string): FrameRefusal {
  return { code, message, scope: null };
}

/** Returns the refusal of a frame whose members break a rule. */
export function invalidFrame(rule: string): FrameRefusal {
  return refusal("invalid_frame", rule);
}

/**
 * Returns the refusal of a scope that a key may not use; else `null`. Files, terminals and management give access to the whole device, so a key that is
 * limited to agents or modes may not use them.
 */
export function scopeRefusal(scope: ViewerScope, principal: Principal, subject: string): FrameRefusal | null {
  if (allowsScope(principal, scope)) return null;
  const message = principal.scopes.has(scope)
    ? `A key that is limited to agents or modes, or that denies tools, may not use the scope '${scope}'.`
    : `The gateway key lacks the scope '${scope}', which ${subject} needs.`;
  return { code: "insufficient_scope", message, scope };
}

/** Longest id of an agent or a conversation, in characters. */
const maxIdLength = 256;

/** The rule that {@link isId} checks, for a refusal. */
export const idRule: string = `must be a string of 1 to ${maxIdLength} characters`;

/** A conversation, or the refusal of the frame. */
type Targeted = { readonly kind: "target"; readonly runtime: Conversation } | RefusedFrame;

/**
 * Reads `runtime` of a frame and checks its agent against the key's list. Drops its other members, such as
 * `acting_user_id`, with which a caller could claim to be someone else.
 */
export function readTarget(runtime: unknown, principal: Pick<Principal, "agentIds">): Targeted {
  const { agent_id: agentId = null, conversation_id: conversationId } = membersOf(runtime);
  if (!isId(conversationId)) return refuseFrame(invalidFrame(`runtime.conversation_id ${idRule}`));
  if (agentId !== null && !isId(agentId)) return refuseFrame(invalidFrame(`runtime.agent_id ${idRule}, or null`));
  if (!allowsAgent(principal, agentId ?? undefined)) return refuseFrame(agentNotAllowed);
  return { kind: "target", runtime: { agentId: agentId ?? "", conversationId } };
}

/** Whether a value is the id of an agent or a conversation. */
export function isId(value: unknown): value is string {
  return typeof value === "string" && value !== "" && value.length <= maxIdLength;
}

/** The refusal of an agent that is not in the key's list. */
export const agentNotAllowed: FrameRefusal = refusal("agent_not_allowed", "The gateway key may not use this agent.");

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
