/** The mode of a conversation before a message runs in it: the ceiling of the key, and the mode that the key sets first. */
import {
  allowsMode,
  isSameMode,
  type PlainResponse,
  type Principal,
  type ProblemOptions,
  problemResponse,
} from "@letta-environments/schema";
import type { CommandOutcome, CommandTarget } from "../../commands/waiting-commands.ts";
import { commandTimeoutMs, maxWaitingCommands } from "../../limits.ts";
import type { ConnectionRecord, ConversationScope } from "../../ports.ts";
import type { DeviceConnection } from "../../socket/connection.ts";
import type { ServerContext } from "../context.ts";
import { unreachableResponse } from "../reach.ts";

const unreportedMode =
  `The gateway key has a maximum mode, and the device did not report the mode of the conversation within ${commandTimeoutMs / 1_000} seconds. ` +
  "Nothing was sent.";

/** The response when too many commands wait for a device. */
export const busyResponse: PlainResponse = problemResponse("queue_full", {
  detail: `The device has not responded to ${maxWaitingCommands} earlier commands; nothing was sent.`,
});

/**
 * Returns the refusal of a message because of the mode in which it would run; `null` when it may run. The mode of one conversation
 * says nothing about another, so a conversation whose own mode is not known is refused.
 */
export function modeRefusal(
  { commands }: Pick<ServerContext, "commands">,
  { maxMode, setMode = null }: Pick<Principal, "maxMode" | "setMode">,
  { environmentId, ...runtime }: ConversationScope,
): PlainResponse | null {
  if (maxMode === null && setMode === null) return null;
  const own = commands.modes.modeOf(environmentId, runtime);
  if (setMode !== null && !isInMode(own, setMode)) return problemResponse("mode_not_set");
  if (maxMode === null || allowsMode({ maxMode }, own ?? undefined)) return null;
  if (own !== undefined) return problemResponse("mode_not_allowed");
  const pauseMs = commands.pauseMs(environmentId, "mode");
  return problemResponse("mode_not_allowed", { detail: unreportedMode, ...repeatAfter(pauseMs) });
}

/** The options of a refusal that may be retried, since nothing was sent. A retry should wait until the device is asked again. */
export function repeatAfter(pauseMs: number): Pick<ProblemOptions, "retryable" | "retryAfterSeconds"> {
  return { retryable: true, ...(pauseMs > 0 && { retryAfterSeconds: Math.ceil(pauseMs / 1_000) }) };
}

/**
 * Asks the device for the mode of a conversation that has not reported it, if the key has a maximum. Returns the refusal of a message
 * that could not be checked because the device cannot be asked; `null` otherwise, even if it did not answer.
 */
export async function learnMode(
  { commands, hub }: Pick<ServerContext, "commands" | "hub">,
  { maxMode }: Pick<Principal, "maxMode">,
  { environmentId, ...runtime }: ConversationScope,
  connection: DeviceConnection,
  record: ConnectionRecord,
): Promise<PlainResponse | null> {
  if (maxMode === null || commands.modes.modeOf(environmentId, runtime) !== undefined) return null;
  return refusalOfQuestion(await commands.askMode(commandTargetOf(hub, connection), runtime), record);
}

/** The refusal of a request whose question did not reach the device, or whose device disconnected; `null` for any other outcome. */
export function refusalOfQuestion(outcome: CommandOutcome<unknown>, record: ConnectionRecord): PlainResponse | null {
  if (outcome.kind === "busy") return busyResponse;
  const isLost = outcome.kind === "unsent" || (outcome.kind === "unknown" && outcome.reason === "disconnected");
  return isLost ? unreachableResponse(record) : null;
}

/**
 * Switches a conversation to the mode that the key sets, if it has another one, and waits until the device reports the mode.
 * Returns the refusal when the device does not, or when the key must not set its own mode.
 */
export async function switchMode(
  { commands, hub, emit }: Pick<ServerContext, "commands" | "hub" | "emit">,
  { keyId, maxMode, setMode = null }: Pick<Principal, "keyId" | "maxMode" | "setMode">,
  { environmentId, ...runtime }: ConversationScope,
  connection: DeviceConnection,
): Promise<PlainResponse | null> {
  if (setMode !== null && !allowsMode({ maxMode }, setMode)) {
    const detail = `The gateway key may not set a mode beyond '${maxMode}', and sets '${setMode}'. The message was not sent.`;
    return problemResponse("mode_not_allowed", { detail });
  }
  if (setMode === null || isInMode(commands.modes.modeOf(environmentId, runtime), setMode)) return null;
  const outcome = await commands.changeMode(commandTargetOf(hub, connection), runtime, setMode);
  const isSent = outcome.kind === "done" || outcome.kind === "rejected" || outcome.kind === "unknown";
  if (isSent)
    emit({ type: "mode_switched", ...connection.device, ...runtime, mode: setMode, keyId, outcome: outcome.kind });
  return outcome.kind === "done" ? null : problemResponse("mode_not_set", describe(outcome));
}

/** The socket of a connection, for commands. */
export function commandTargetOf(hub: ServerContext["hub"], connection: DeviceConnection): CommandTarget {
  return {
    environmentId: connection.device.environmentId,
    write: (text) =>
      hub.onlineConnectionOf(connection.device.environmentId) === connection && hub.send(connection, text),
  };
}

function isInMode(mode: string | null | undefined, required: string): boolean {
  return typeof mode === "string" && isSameMode(mode, required);
}

function describe(outcome: CommandOutcome<string>): { readonly detail?: string } {
  if (outcome.kind === "busy") return { detail: "Too many commands wait for the device. The message was not sent." };
  return outcome.kind === "unknown" && outcome.reason === "timeout"
    ? {}
    : { detail: "The device did not switch the conversation to the mode that the key sets. The message was not sent." };
}
