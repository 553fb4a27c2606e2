/** The mode of a conversation before a message runs in it: the ceiling of the key, and the mode that the key sets first. */
import {
  allowsMode,
  isSameMode,
  type PlainResponse,
  type Principal,
  problemResponse,
} from "@letta-environments/schema";
import type { CommandOutcome, CommandTarget } from "../commands/waiting-commands.ts";
import type { ConversationScope } from "../ports.ts";
import type { DeviceConnection } from "../socket/connection.ts";
import type { ServerContext } from "./context.ts";

/**
 * Returns the refusal of a message because of the mode in which it would run; `null` when it may run. While the conversation has
 * not reported its own mode, every mode that the device has reported must be allowed, because each conversation has its own.
 */
export function modeRefusal(
  { commands: { modes } }: Pick<ServerContext, "commands">,
  { maxMode, setMode = null }: Pick<Principal, "maxMode" | "setMode">,
  { environmentId, ...runtime }: ConversationScope,
): PlainResponse | null {
  if (maxMode === null && setMode === null) return null;
  const own = modes.modeOf(environmentId, runtime);
  if (setMode !== null && !isInMode(own, setMode)) return problemResponse("mode_not_set");
  if (maxMode === null) return null;
  const known = own === undefined ? [...modes.modesOf(environmentId)] : [own];
  const isAllowed = known.length > 0 && known.every((mode) => allowsMode({ maxMode }, mode ?? undefined));
  return isAllowed ? null : problemResponse("mode_not_allowed");
}

/**
 * Switches a conversation to the mode that the key sets, if it is not in it, and waits until the device reports it. Returns the
 * refusal when the device does not, or when the key may not set its own mode.
 */
export async function switchMode(
  { commands, hub, emit }: Pick<ServerContext, "commands" | "hub" | "emit">,
  { keyId, maxMode, setMode = null }: Pick<Principal, "keyId" | "maxMode" | "setMode">,
  { environmentId, ...runtime }: ConversationScope,
  connection: DeviceConnection,
): Promise<PlainResponse | null> {
  if (setMode !== null && !allowsMode({ maxMode }, setMode)) return problemResponse("mode_not_allowed");
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
    write: (text) => hub.online(connection.device.environmentId) === connection && hub.send(connection, text),
  };
}

function isInMode(mode: string | null | undefined, wanted: string): boolean {
  return typeof mode === "string" && isSameMode(mode, wanted);
}

function describe(outcome: CommandOutcome<string>): { readonly detail?: string } {
  if (outcome.kind === "busy") return { detail: "Too many commands wait for the device. The message was not sent." };
  return outcome.kind === "unknown" && outcome.reason === "timeout"
    ? {}
    : { detail: "The device did not switch the conversation to the mode that the key sets. The message was not sent." };
}
