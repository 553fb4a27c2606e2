/**
 * Whose conversation a request names. A device knows a named conversation by its id alone: it runs a turn with the conversation's own agent,
 * whatever agent a frame names. So the agent that a request names proves nothing, and a key that is limited to agents may use a named
 * conversation only after the device has confirmed its agent. The default conversation belongs to the agent that is named with it.
 */
import { defaultConversationId, type PlainResponse, type Principal, problemResponse } from "@letta-environments/schema";
import type { Conversation } from "../../dialects/conversation.ts";
import { commandTimeoutMs } from "../../limits.ts";
import type { ConnectionRecord } from "../../ports.ts";
import type { DeviceConnection } from "../../socket/connection.ts";
import type { ServerContext } from "../context.ts";
import { commandTargetOf, refusalOfQuestion, repeatAfter } from "./modes.ts";

/**
 * Asks the device for the agent of a conversation, if the key is limited to agents, and waits for the answer. Returns the refusal of the
 * request when it is not the agent that the request names, or the device does not say; `null` when the key may use the conversation.
 *
 * Refusals: 403 `agent_not_allowed`, which may be repeated when the device did not or could not say; 409 `device_offline` and `connection_replaced`, and 429 `queue_full`, when the device cannot be asked.
 */
export async function refuseForeignConversation(
  { commands, hub }: Pick<ServerContext, "commands" | "hub">,
  { agentIds }: Pick<Principal, "agentIds">,
  runtime: Conversation,
  connection: DeviceConnection,
  record: ConnectionRecord,
): Promise<PlainResponse | null> {
  if (agentIds === null || runtime.conversationId === defaultConversationId) return null;
  const outcome = await commands.askAgent(commandTargetOf(hub, connection), runtime);
  const refusal = refusalOfQuestion(outcome, record);
  if (refusal !== null) return refusal;
  if (outcome.kind === "done" && outcome.effect === runtime.agentId) return null;
  if (outcome.kind === "unknown") {
    const pauseMs = commands.pauseMs(connection.device.environmentId, "agent");
    return problemResponse("agent_not_allowed", { detail: notAnswered, ...repeatAfter(pauseMs) });
  }
  const isFailure = outcome.kind === "rejected" && !isMissing(outcome.error);
  return isFailure
    ? problemResponse("agent_not_allowed", { detail: notKnown, ...repeatAfter(0) })
    : problemResponse("agent_not_allowed", { detail: notConfirmed });
}

/** One text for a conversation of another agent and for one that does not exist, so that a key does not learn which ones there are. */
const notConfirmed =
  "The device does not confirm that the conversation belongs to this agent. A key that is limited to agents may use no other conversation. " +
  "Nothing was sent.";
const notAnswered =
  `The device did not say within ${commandTimeoutMs / 1_000} seconds to which agent the conversation belongs. A key that is limited to agents may use ` +
  "only conversations whose agent the device confirms, and the default conversation of its agents. Nothing was sent.";
const notKnown =
  "The device could not say to which agent the conversation belongs. A key that is limited to agents may use only conversations whose agent the " +
  "device confirms. Nothing was sent.";

/**
 * Whether a device that did not find a conversation says that there is none. Any other failure of the device says nothing about the conversation.
 * Devices have no code for it, and their words differ between backends.
 */
function isMissing(error: string | null): boolean {
  return error !== null && /not found|does(?: not|n't) exist|no such|unknown conversation|\b404\b/iu.test(error);
}
