/**
 * Decides how a viewer's frame is handled: a pure function of the frame and the permissions of the key. Nothing reaches a device
 * unless this function allows it. Whether the key may use the device at all is decided where its row is read.
 */
import { allowsAgent, allowsMode, modeCeiling, type Principal } from "@letta-environments/schema";
import { type Conversation, toWireRuntime } from "../dialects/conversation.ts";
import { isMembers, type Members, membersOf, readLine } from "../dialects/values.ts";
import { isDecision, type TranslatedFrame, translatedTypes, translateFrame } from "./api-calls.ts";
import {
  agentNotAllowed,
  idRule,
  invalidFrame,
  isId,
  readTarget,
  refusal,
  type RefusedFrame,
  refuseFrame,
  scopeRefusal,
  type ViewerFrame,
} from "./frame.ts";
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
  | (TranslatedFrame & { readonly scope: ViewerScope })
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

/** A `runtime_start` frame as it goes to the device, or why it is refused. */
type CheckedStart =
  | {
      readonly kind: "allowed";
      readonly members: Members;
      /** The conversation that it opens; `null` for a new one. */
      readonly runtime: Conversation | null;
    }
  | RefusedFrame;

/** The scope that each member of `runtime_start` needs in addition to `send`; `null` for none. Every other member is refused. */
const memberScopes: ReadonlyMap<string, ViewerScope | null> = new Map<string, ViewerScope | null>([
  ["type", null],
  ["request_id", null],
  ["agent_id", null],
  ["conversation_id", null],
  ["client_info", null],
  ["force_device_status", null],
  ["wait_for_replay", null],
  ["recover_approvals", null],
  ["create_conversation", "control"],
  ["cwd", "control"],
  ["mode", "control"],
  ["create_agent", "manage"],
  ["conversation_source_tags", "manage"],
  ["execution_settings", "manage"],
  ["preserve_skill_sources", "manage"],
  ["skill_sources", "manage"],
  ["workspace_sandbox", "manage"],
]);

const deviceModes: ReadonlySet<unknown> = new Set(["standard", "acceptEdits", "unrestricted", "strict"]);
const maxPathLength = 4_096;

/**
 * Checks a `runtime_start` frame against a key. It opens a conversation on a device, and can create its agent, its mode and its directory. So some
 * members need more than the scope `send`, and the frame is rebuilt from known members: a member of a newer device could bypass the limits of the key.
 */
function checkRuntimeStart({ external_tools: tools, ...given }: Members, principal: Principal): CheckedStart {
  const members = Array.isArray(tools) && tools.length === 0 ? given : { ...given, external_tools: tools };
  const present = Object.keys(members).filter((name) => members[name] !== undefined);
  const unknown = present.find((name) => !memberScopes.has(name));
  if (unknown !== undefined) return refuseFrame(invalidFrame(`${unknown.slice(0, 64)} is not offered by this server`));
  for (const scope of present.flatMap((name) => scopesOfMember(name, members[name]))) {
    const denied = scopeRefusal(scope, principal, "a member of this frame");
    if (denied !== null) return refuseFrame(denied);
  }
  const rule = brokenRule(members);
  if (rule !== null) return refuseFrame(invalidFrame(rule));
  const { agent_id: agentId = null, mode, recover_approvals: recover, ...rest } = members;
  const { conversation_id: conversationId } = rest;
  if (members["create_agent"] === undefined && !allowsAgent(principal, isId(agentId) ? agentId : undefined)) {
    return refuseFrame(agentNotAllowed);
  }
  const maxMode = modeCeiling(principal);
  if (mode !== undefined && !allowsMode({ maxMode }, typeof mode === "string" ? mode : undefined)) {
    const message = `The gateway key may not set a mode beyond '${maxMode}'.`;
    return refuseFrame(refusal("mode_not_allowed", message));
  }
  return {
    kind: "allowed",
    runtime: isId(conversationId) ? { agentId: isId(agentId) ? agentId : "", conversationId } : null,
    members: {
      ...rest,
      ...(agentId !== null && { agent_id: agentId }),
      ...(mode !== undefined && { mode }),
      // A device that recovers continues an interrupted turn, which is its default.
      recover_approvals: recover === true && principal.scopes.has("control"),
    },
  };
}

/** A new conversation with its own settings can have another model or system prompt. */
function scopesOfMember(name: string, value: unknown): readonly ViewerScope[] {
  const scope = memberScopes.get(name) ?? null;
  const hasSettings = name === "create_conversation" && isMembers(value) && Object.keys(value).length > 0;
  // It leaves the skills of the conversation unchanged.
  if (name === "preserve_skill_sources" && value === true) return [];
  if (hasSettings && Object.keys(isMembers(value["body"]) ? value["body"] : value).length > 0) return ["manage"];
  return scope === null ? [] : [scope];
}

function brokenRule(members: Members): string | null {
  const { agent_id: agentId, conversation_id: conversationId, mode, cwd } = members;
  for (const [name, value] of Object.entries({ agent_id: agentId, conversation_id: conversationId })) {
    if (value !== undefined && value !== null && !isId(value)) return `${name} ${idRule}`;
  }
  for (const name of ["create_agent", "create_conversation", "client_info"]) {
    if (members[name] !== undefined && !isMembers(members[name])) return `${name} must be an object`;
  }
  for (const name of ["force_device_status", "wait_for_replay", "preserve_skill_sources"]) {
    if (members[name] !== undefined && typeof members[name] !== "boolean") return `${name} must be a boolean`;
  }
  // A device ignores the whole frame, without a response.
  const { name, title = "", version = "" } = membersOf(members["client_info"] ?? { name: "" });
  if ([name, title, version].some((text) => typeof text !== "string"))
    return "client_info must have a name, and only texts";
  if (isId(agentId) && members["create_agent"] !== undefined)
    return "agent_id and create_agent cannot be used together";
  if (mode !== undefined && !deviceModes.has(mode)) return "mode must be standard, acceptEdits, unrestricted or strict";
  if (cwd !== undefined && cwd !== null && !isPath(cwd)) return "cwd must be a path without control characters";
  return null;
}

function isPath(value: unknown): boolean {
  return typeof value === "string" && value !== "" && value.length <= maxPathLength && !/\p{Cc}/u.test(value);
}
