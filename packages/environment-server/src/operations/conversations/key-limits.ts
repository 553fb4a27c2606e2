/**
 * The limits of a key on a conversation: its agent, the mode in which messages may run, and the mode that the key sets first. Some need a query to the
 * device before a frame of the key is sent. The answer can take as long as a command, so it is awaited outside the queue of the device, where other
 * sends continue. Inside the queue, only known values are compared.
 *
 * A device finds a named conversation by its id alone and runs the turn with the agent of that conversation, whatever agent a frame names. A key that is
 * limited to agents may therefore use a named conversation only after the device has confirmed its agent. The default conversation always belongs to the
 * agent that is named with it.
 */
import {
  allowsMode,
  defaultConversationId,
  isSameMode,
  type PlainResponse,
  type Principal,
  type ProblemOptions,
  problemResponse,
} from "@letta-environments/schema";
import type { CommandOutcome, CommandTarget } from "../../device-commands/waiting-commands.ts";
import type { Conversation } from "../../dialects/conversation.ts";
import { commandTimeoutMs, maxWaitingCommands } from "../../limits.ts";
import type { ConnectionRecord, ConversationScope } from "../../ports.ts";
import type { DeviceConnection } from "../../socket/connection.ts";
import type { ServerContext } from "../context.ts";
import { findSettled, unreachableResponse } from "../reach.ts";

/** The limits of a key that may need a query to the device. */
export interface ConversationLimits extends Pick<Principal, "agentIds" | "maxMode"> {
  /** `null` for a frame before which no mode is set. */
  readonly setMode: NonNullable<Principal["setMode"]> | null;
}

/** The result of the queries on one socket of a device, or of a change to the mode that the key sets. */
export interface DeviceQueryResult {
  readonly kind: "needs_device_answer" | "needs_mode_switch";
  readonly connection: DeviceConnection;
  /** `null`: the agent is confirmed, and the mode is known or will not be; or the mode is set. */
  readonly refusal: PlainResponse | null;
}

/** Whether a frame of a key may have to wait for its device first. It depends only on the key and the conversation. */
export function mayNeedDeviceQuery(
  { agentIds, maxMode, setMode = null }: Pick<Principal, "agentIds" | "maxMode" | "setMode">,
  { conversationId }: Pick<ConversationScope, "conversationId">,
): boolean {
  return maxMode !== null || setMode !== null || (agentIds !== null && conversationId !== defaultConversationId);
}

/** Whether a device must be queried now, because values that the limits of a key need are unknown. */
export function needsDeviceQuery(
  { commands }: Pick<ServerContext, "commands">,
  limits: ConversationLimits,
  { environmentId, ...conversation }: ConversationScope,
): boolean {
  const { agentIds, maxMode, setMode } = limits;
  const isAgentUnconfirmed =
    agentIds !== null &&
    conversation.conversationId !== defaultConversationId &&
    commands.agentOf(environmentId, conversation.conversationId) !== conversation.agentId;
  // A key that sets the mode needs no question: the device reports the new mode before the message leaves.
  const isModeUnknown =
    maxMode !== null && setMode === null && commands.modes.modeOf(environmentId, conversation) === undefined;
  return (
    isAgentUnconfirmed || isModeUnknown || isModeChanging({ commands }, limits, { environmentId, ...conversation })
  );
}

/** Whether a mode that was written to the device, and may not have taken effect yet, is not one in which the key may send. */
function isModeChanging(
  { commands }: Pick<ServerContext, "commands">,
  { maxMode, setMode }: ConversationLimits,
  { environmentId, ...conversation }: ConversationScope,
): boolean {
  const isAllowed = (mode: string): boolean =>
    setMode === null ? allowsMode({ maxMode }, mode) : isInMode(mode, setMode);
  return !commands.unreported.of(environmentId, conversation).every(isAllowed);
}

/**
 * Returns the refusal of a message of a limited key whose conversation was stopped before it left; `null` for a key without limits. It must not be
 * repeated automatically: somebody wants the conversation to stop.
 */
export function stoppedResponse({ agentIds, maxMode, setMode }: ConversationLimits): PlainResponse | null {
  const detail = "The conversation was stopped before the message was sent. Nothing was sent.";
  const options = { detail, retryable: false };
  if (setMode !== null) return problemResponse("mode_not_set", options);
  if (maxMode !== null) return problemResponse("mode_not_allowed", options);
  return agentIds === null ? null : problemResponse("agent_not_allowed", options);
}

/** Queries a device for the values that {@link needsDeviceQuery} found missing. Resolves with `null` if the device is offline. */
export async function queryDevice(
  server: ServerContext,
  limits: ConversationLimits,
  scope: ConversationScope,
  record: ConnectionRecord,
): Promise<DeviceQueryResult | null> {
  const connection = await findSettled(server, record);
  if (connection === null) return null;
  const refusal =
    (await refuseForeignConversation(server, limits, scope, connection, record)) ??
    (await settleModes(server, limits, scope, connection, record)) ??
    (limits.setMode === null ? await learnMode(server, limits, scope, connection, record) : null);
  return { kind: "needs_device_answer", connection, refusal };
}

/**
 * Checks that a conversation belongs to the agent that a request names, if the key is limited to agents. Queries the device, unless its answer is known
 * already. Returns `null` if the key may use the conversation, otherwise the response that refuses the request.
 *
 * Refusals: 403 `agent_not_allowed`, which is retryable if the device did not respond or failed; 409 `device_offline` and `connection_replaced`; 429
 * `queue_full` if too many commands wait for the device.
 */
export async function refuseForeignConversation(
  server: Pick<ServerContext, "store" | "commands" | "hub">,
  { agentIds }: Pick<Principal, "agentIds">,
  conversation: Conversation,
  connection: DeviceConnection,
  record: ConnectionRecord,
): Promise<PlainResponse | null> {
  if (agentIds === null || conversation.conversationId === defaultConversationId) return null;
  const { commands, hub } = server;
  const outcome = await commands.askAgent(commandTargetOf(hub, connection), conversation);
  const refusal = await refusalOfQuery(server, outcome, record);
  if (refusal !== null) return refusal;
  if (outcome.kind === "done" && outcome.effect === conversation.agentId) return null;
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
  "The device does not confirm that the conversation belongs to this agent. A key that is limited to agents may not use it. " +
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

/**
 * Returns the refusal of a message because of the mode in which it would run; `null` when it may run. The mode of one conversation
 * says nothing about another, so a conversation whose own mode is not known is refused. A mode that was written to the device and not
 * reported yet must also be allowed: the device handles it before the message.
 */
export function modeRefusal(
  { commands }: Pick<ServerContext, "commands">,
  { maxMode, setMode = null }: Pick<Principal, "maxMode" | "setMode">,
  { environmentId, ...conversation }: ConversationScope,
): PlainResponse | null {
  if (maxMode === null && setMode === null) return null;
  const own = commands.modes.modeOf(environmentId, conversation);
  const unreported = commands.unreported.of(environmentId, conversation);
  if (setMode !== null && ![own, ...unreported].every((mode) => isInMode(mode, setMode)))
    return problemResponse("mode_not_set");
  if (maxMode === null) return null;
  if (!allowsMode({ maxMode }, own ?? undefined)) {
    if (own !== undefined) return problemResponse("mode_not_allowed");
    const pauseMs = commands.pauseMs(environmentId, "mode");
    return problemResponse("mode_not_allowed", { detail: unknownMode, ...repeatAfter(pauseMs) });
  }
  return unreported.every((mode) => allowsMode({ maxMode }, mode))
    ? null
    : problemResponse("mode_not_allowed", {
        detail: changingMode,
        ...repeatAfter(commands.pauseMs(environmentId, "unreported")),
      });
}

const unknownMode =
  `The gateway key has a maximum mode, and the device did not report the mode of the conversation within ${commandTimeoutMs / 1_000} seconds. ` +
  "Nothing was sent.";
const changingMode =
  "The gateway key has a maximum mode, and a change of the conversation's mode to a more permissive one was sent to the device, which has not " +
  "reported it yet. Nothing was sent.";

/**
 * Asks the device whether it has handled the modes that were written to it, if one of them may not be the mode of the message. Returns the refusal of
 * a message before which such a mode may still take effect, or whose device cannot be asked; `null` otherwise.
 */
async function settleModes(
  server: Pick<ServerContext, "store" | "commands" | "hub">,
  limits: ConversationLimits,
  scope: ConversationScope,
  connection: DeviceConnection,
  record: ConnectionRecord,
): Promise<PlainResponse | null> {
  const { commands, hub } = server;
  if (!isModeChanging(server, limits, scope)) return null;
  const { environmentId: _row, ...conversation } = scope;
  const outcome = await commands.askUnreported(commandTargetOf(hub, connection), conversation);
  const refusal = await refusalOfQuery(server, outcome, record);
  if (refusal !== null || !isModeChanging(server, limits, scope)) return refusal;
  return modeRefusal(server, limits, scope);
}

/**
 * Asks the device for the mode of a conversation that has not reported it, if the key has a maximum. Returns the refusal of a message
 * that could not be checked because the device cannot be asked; `null` otherwise, even if it did not answer.
 */
async function learnMode(
  server: Pick<ServerContext, "store" | "commands" | "hub">,
  { maxMode }: Pick<Principal, "maxMode">,
  { environmentId, ...conversation }: ConversationScope,
  connection: DeviceConnection,
  record: ConnectionRecord,
): Promise<PlainResponse | null> {
  const { commands, hub } = server;
  if (maxMode === null || commands.modes.modeOf(environmentId, conversation) !== undefined) return null;
  return refusalOfQuery(server, await commands.askMode(commandTargetOf(hub, connection), conversation), record);
}

function isInMode(mode: string | null | undefined, required: string): boolean {
  return typeof mode === "string" && isSameMode(mode, required);
}

/** The refusal of a request whose question did not reach the device, or whose device disconnected; `null` for any other outcome. */
async function refusalOfQuery(
  server: Pick<ServerContext, "store">,
  outcome: CommandOutcome<unknown>,
  record: ConnectionRecord,
): Promise<PlainResponse | null> {
  if (outcome.kind === "busy") return busyResponse;
  const isLost = outcome.kind === "unsent" || (outcome.kind === "unknown" && outcome.reason === "disconnected");
  return isLost ? unreachableResponse(server, record) : null;
}

/** The response when too many commands wait for a device, or when it did not respond to an earlier change of the conversation. */
export const busyResponse: PlainResponse = problemResponse("queue_full", {
  detail: `The device has not responded to an earlier change of the conversation, or to ${maxWaitingCommands} commands. Nothing was sent.`,
});

/** The options of a refusal that may be retried, since nothing was sent. A retry should wait until the device is asked again. */
export function repeatAfter(pauseMs: number): Pick<ProblemOptions, "retryable" | "retryAfterSeconds"> {
  return { retryable: true, ...(pauseMs > 0 && { retryAfterSeconds: Math.ceil(pauseMs / 1_000) }) };
}

/** The socket of a connection, for commands. */
export function commandTargetOf(hub: ServerContext["hub"], connection: DeviceConnection): CommandTarget {
  return {
    environmentId: connection.device.environmentId,
    write: (text) =>
      hub.onlineConnectionOf(connection.device.environmentId) === connection && hub.send(connection, text),
  };
}
