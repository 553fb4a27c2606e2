/**
 * Decides which viewers receive a frame of a device. Only listed types are shown. A frame of a conversation goes to the viewers
 * whose key may use its agent, a response only to the viewer that asked, the output of a terminal to the viewer that started it.
 */
import { allowsAgent, allowsScope, type Principal } from "@letta-environments/schema";
import type { Conversation } from "../dialects/conversation.ts";
import { isMembers, type Members, readRuntime } from "../dialects/values.ts";
import type { ViewerAccess } from "./ports.ts";

/** The viewers that a frame is for. */
export type Audience =
  | { readonly kind: "conversation"; readonly runtime: Conversation }
  | { readonly kind: "scope"; readonly scope: "files" | "manage" }
  | { readonly kind: "asker"; readonly requestId: string }
  | { readonly kind: "terminal"; readonly terminalId: string };

/** The view of a viewer: the agents of its key, and the conversation that it chose when it connected. */
interface ViewerFilter extends Pick<ViewerAccess, "agentId" | "conversationId"> {
  readonly principal: Pick<Principal, "agentIds" | "maxMode" | "setMode" | "scopes">;
}

type Kind = Audience["kind"] | "files" | "manage";

const kinds: ReadonlyMap<string, Kind> = new Map<string, Kind>([
  ["update_device_status", "conversation"],
  ["update_loop_status", "conversation"],
  ["update_queue", "conversation"],
  ["update_subagent_state", "conversation"],
  ["stream_delta", "conversation"],
  ["turn_finished", "conversation"],
  ["control_request", "conversation"],
  ["terminal_output", "terminal"],
  ["terminal_spawned", "terminal"],
  ["terminal_exited", "terminal"],
  ["file_changed", "files"],
  ["file_ops", "files"],
  ["memory_updated", "manage"],
  ["skills_updated", "manage"],
  ["crons_updated", "manage"],
  ["channels_updated", "manage"],
  ["channel_accounts_updated", "manage"],
  ["channel_pairings_updated", "manage"],
  ["channel_routes_updated", "manage"],
  ["channel_targets_updated", "manage"],
]);

/** Returns how frames of a type are shown; `null` if nobody may see them. */
function kindOf(type: string): Kind | null {
  return kinds.get(type) ?? (type.endsWith("_response") ? "asker" : null);
}

/** Whether a text may be a frame that some viewer receives. Cheap, because devices send many others. */
export function mayBeShown(text: string): boolean {
  const type = /^\{"type":"([a-z_]{1,64})"/.exec(text)?.[1];
  return type === undefined || kindOf(type) !== null;
}

/** Returns the audience of a frame; `null` for a frame that nobody receives. */
export function audienceOf(frame: Members): Audience | null {
  const { type, request_id: requestId, terminal_id: terminalId } = frame;
  const kind = typeof type === "string" ? kindOf(type) : null;
  switch (kind) {
    case null:
      return null;
    case "files":
    case "manage":
      return { kind: "scope", scope: kind };
    case "asker":
      return typeof requestId === "string" ? { kind, requestId } : null;
    case "terminal":
      return typeof terminalId === "string" ? { kind, terminalId } : null;
    default: {
      // A request for permission has its conversation in the frame itself, and in newer versions also in its envelope.
      const runtime = readRuntime(isMembers(frame["runtime"]) ? frame["runtime"] : frame);
      return "kind" in runtime ? null : { kind: "conversation", runtime };
    }
  }
}

/** Whether a viewer may see a frame for everyone who may. */
export function maySee(
  { principal, agentId, conversationId }: ViewerFilter,
  audience: Extract<Audience, { readonly kind: "conversation" | "scope" }>,
): boolean {
  if (audience.kind === "scope") return allowsScope(principal, audience.scope);
  const { runtime } = audience;
  if (!allowsAgent(principal, runtime.agentId || undefined)) return false;
  if (agentId !== null && agentId !== runtime.agentId) return false;
  return conversationId === null || conversationId === runtime.conversationId;
}

/** Returns the frame as a key may see it. The directories of all conversations name agents that a limited key must not see. */
export function presentFrame(frame: Members, { agentIds }: Pick<Principal, "agentIds">): Members {
  const status = frame["device_status"];
  if (agentIds === null || frame["type"] !== "update_device_status" || !isMembers(status)) return frame;
  const { cwd_map: _directories, ...shown } = status;
  return { ...frame, device_status: shown };
}
