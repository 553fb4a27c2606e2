/**
 * `runtime_start` opens a conversation on a device, and can create its agent, its mode and its directory. So some members need
 * more than the scope `send`, and the frame is rebuilt from known members: a member of a newer device could bypass the limits
 * of the key.
 */
import { allowsAgent, allowsMode, modeCeiling, type Principal } from "@letta-environments/schema";
import type { Conversation } from "../dialects/conversation.ts";
import { isMembers, type Members } from "../dialects/values.ts";
import {
  agentNotAllowed,
  idRule,
  invalidFrame,
  isId,
  refusal,
  type RefusedFrame,
  refuseFrame,
  scopeRefusal,
} from "./frame.ts";
import type { ViewerScope } from "./scopes.ts";

/** The frame as it goes to the device, or why it is refused. */
type CheckedStart =
  | {
      readonly kind: "allowed";
      readonly members: Members;
      /** The conversation that it opens; `null` for a new one. */
      readonly runtime: Conversation | null;
    }
  | RefusedFrame;

/** The scope that each member needs in addition to `send`; `null` for none. Every other member is refused. */
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

/** Checks a `runtime_start` frame against a key. */
export function checkRuntimeStart({ external_tools: tools, ...given }: Members, principal: Principal): CheckedStart {
  const members = Array.isArray(tools) && tools.length === 0 ? given : { ...given, external_tools: tools };
  const present = Object.keys(members).filter((name) => members[name] !== undefined);
  const unknown = present.find((name) => !memberScopes.has(name));
  if (unknown !== undefined) return refuseFrame(invalidFrame(`${unknown.slice(0, 64)} is not offered by this server`));
  for (const scope of present.flatMap((name) => scopesOfMember(name, members[name]))) {
    const denied = scopeRefusal(scope, principal, "a member of this frame");
    if (denied !== null) return refuseFrame(denied);
  }
  const rule = brokenRule(members) ?? null;
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
  if (isId(agentId) && members["create_agent"] !== undefined) return "agent_id and create_agent exclude each other";
  if (mode !== undefined && !deviceModes.has(mode)) return "mode must be standard, acceptEdits, unrestricted or strict";
  if (cwd !== undefined && cwd !== null && !isPath(cwd)) return "cwd must be a path without control characters";
  return null;
}

function isPath(value: unknown): boolean {
  return typeof value === "string" && value !== "" && value.length <= maxPathLength && !/\p{Cc}/u.test(value);
}
