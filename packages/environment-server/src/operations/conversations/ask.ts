/**
 * Queries a device about the agent and the mode of a conversation before a frame of a limited key is sent. The answer can take as long as a command,
 * so it is awaited outside the queue of the device, where other sends continue. Inside the queue, only known values are compared.
 */
import { defaultConversationId, type PlainResponse, type Principal } from "@letta-environments/schema";
import type { ConnectionRecord, ConversationScope } from "../../ports.ts";
import type { DeviceConnection } from "../../socket/connection.ts";
import type { ServerContext } from "../context.ts";
import { findOnline, waitUntilSettled } from "../reach.ts";
import { refuseForeignConversation } from "./agents.ts";
import { learnMode } from "./modes.ts";

/** The limits of a key that may need a query to the device. `setMode` is `null` for a frame before which no mode is set. */
export type AskedLimits = Pick<Principal, "agentIds" | "maxMode" | "setMode">;

/** The result of the questions on one socket of a device. */
export interface AskResult {
  readonly connection: DeviceConnection;
  /** `null`: the agent is confirmed, and the mode is known or will not be. */
  readonly refusal: PlainResponse | null;
}

/** Whether a frame of a key may need a query to the device first. It depends only on the key and the conversation. */
export function mightAsk(
  { agentIds, maxMode }: Pick<AskedLimits, "agentIds" | "maxMode">,
  { conversationId }: Pick<ConversationScope, "conversationId">,
): boolean {
  return maxMode !== null || (agentIds !== null && conversationId !== defaultConversationId);
}

/** Whether a device must be asked now, because values that the limits of a key need are unknown. */
export function mustAsk(
  { commands }: Pick<ServerContext, "commands">,
  limits: AskedLimits,
  { environmentId, ...runtime }: ConversationScope,
): boolean {
  const { agentIds, maxMode, setMode = null } = limits;
  const isAgentUnconfirmed =
    agentIds !== null &&
    runtime.conversationId !== defaultConversationId &&
    commands.agentOf(environmentId, runtime.conversationId) !== runtime.agentId;
  // A key that sets the mode needs no question: the device reports the new mode before the message leaves.
  const isModeUnknown =
    maxMode !== null && setMode === null && commands.modes.modeOf(environmentId, runtime) === undefined;
  return isAgentUnconfirmed || isModeUnknown;
}

/** Queries a device for the values that {@link mustAsk} found missing. Resolves with `null` if the device is offline. */
export async function askDevice(
  server: ServerContext,
  limits: AskedLimits,
  scope: ConversationScope,
  record: ConnectionRecord,
): Promise<AskResult | null> {
  await waitUntilSettled(server, findOnline(server, record));
  // Looked up again, because it may have reconnected during the wait.
  const connection = findOnline(server, record);
  if (connection === null) return null;
  const asksMode = (limits.setMode ?? null) === null;
  const refusal =
    (await refuseForeignConversation(server, limits, scope, connection, record)) ??
    (asksMode ? await learnMode(server, limits, scope, connection, record) : null);
  return { connection, refusal };
}
