/** The conversation that a viewer's frame names, and whether its key may use it. */
import { allowsAgent, type Principal } from "@letta-environments/schema";
import type { Conversation } from "../dialects/conversation.ts";
import { membersOf } from "../dialects/values.ts";
import { type FrameRefusal, invalidFrame, refusal, type RefusedFrame, refuseFrame } from "./frame.ts";

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
