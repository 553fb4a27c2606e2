/**
 * Checks which agent a conversation belongs to. A device finds a named conversation by its id alone and runs the turn with the agent of that
 * conversation, whatever agent a frame names. A key that is limited to agents may therefore use a named conversation only after the device has
 * confirmed its agent. The default conversation always belongs to the agent that is named with it.
 */
import { defaultConversationId, type PlainResponse, type Principal, problemResponse } from "@letta-environments/schema";
import type { Conversation } from "../../dialects/conversation.ts";
import { commandTimeoutMs } from "../../limits.ts";
import type { ConnectionRecord } from "../../ports.ts";
import type { DeviceConnection } from "../../socket/connection.ts";
import type { ServerContext } from "../context.ts";
import { commandTargetOf, refusalOfQuestion, repeatAfter } from "./modes.ts";

/**
 * Checks that a conversation belongs to the agent that a request names, if the key is limited to agents. Queries the device, unless its answer is known
 * already. Returns `null` if the key may use the conversation, otherwise the response that refuses the request.
 *
 * Refusals: 403 `agent_not_allowed`, which is retryable if the device did not respond or failed; 409 `device_offline` and `connection_replaced`; 429
 * `queue_full` if too many commands wait for the device.
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

/** One text for a conversation of another agent and for one that does not exist, so that a key does not learn which ones exist. */
const notConfirmed =
  "The device does not confirm that the conversation belongs to this agent. A key that is limited to agents may use no other conversation. " +
  "Nothing was sent.";
const notAnswered =
  `The device did not report the agent of the conversation within ${commandTimeoutMs / 1_000} seconds. A key that is limited to agents may use only ` +
  "conversations whose agent the device confirms, and the default conversation of its agents. Nothing was sent.";
const notKnown =
  "The device could not report the agent of the conversation. A key that is limited to agents may use only conversations whose agent the device " +
  "confirms. Nothing was sent.";

/**
 * Whether an error of a device says that the conversation does not exist. Devices have no code for this, and the text differs between backends. Any
 * other error says nothing about the conversation.
 */
function isMissing(error: string | null): boolean {
  return error !== null && /not found|does(?: not|n't) exist|no such|unknown conversation|\b404\b/iu.test(error);
}
