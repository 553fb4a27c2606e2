/**
 * The mode that a key sets before its messages (`--set-mode`). The device may take a while to report it, so the switch is awaited outside the queue of
 * the device, like a question. A device that did not report the mode is not asked for this mode again for a while.
 */
import {
  allowsMode,
  modeCeiling,
  type PlainResponse,
  type Principal,
  problemResponse,
} from "@letta-environments/schema";
import { modeKeyOf } from "../../device-commands/conversation-modes.ts";
import type { CommandOutcome } from "../../device-commands/waiting-commands.ts";
import type { ConnectionRecord, ConversationScope } from "../../ports.ts";
import type { ServerContext } from "../context.ts";
import { findSettled } from "../reach.ts";
import type { MessagePlace } from "./order.ts";
import {
  commandTargetOf,
  type ConversationLimits,
  type DeviceQueryResult,
  modeRefusal,
  repeatAfter,
} from "./key-limits.ts";

/** Returns the refusal of a message whose key must not set its own mode; `null` for any other. */
export function refuseOwnMode(
  principal: Pick<Principal, "maxMode" | "setMode" | "modeCeiling" | "approvalPolicy">,
  { setMode }: ConversationLimits,
): PlainResponse | null {
  const maxMode = modeCeiling(principal);
  if (setMode === null || allowsMode({ maxMode }, setMode)) return null;
  const detail = `The gateway key may not set a mode beyond '${maxMode}', and sets '${setMode}'. The message was not sent.`;
  return problemResponse("mode_not_allowed", { detail });
}

/** Whether a conversation must be switched to the mode that the key sets, because it has another one or may get one. */
export function needsModeSwitch(
  server: Pick<ServerContext, "commands">,
  { setMode }: ConversationLimits,
  scope: ConversationScope,
): boolean {
  return modeRefusal(server, { maxMode: null, setMode }, scope) !== null;
}

/**
 * Runs a message of a key that sets a mode when no other such message of its conversation runs: keys with different modes would take the mode from each
 * other.
 */
export function runInModeTurn<Result>(
  { queue }: Pick<ServerContext, "queue">,
  scope: ConversationScope,
  place: MessagePlace | null,
  run: () => Promise<Result>,
): Promise<Result> {
  const key = JSON.stringify(["mode", scope.environmentId, modeKeyOf(scope)]);
  if (queue.isBusy(key)) place?.releaseQueue();
  return queue.run(key, run);
}

/**
 * Switches a conversation to the mode that the key sets, and waits until the device reports the mode. The refusal of the result says that it did
 * not. Resolves with `null` if the device is offline.
 */
export async function switchMode(
  server: ServerContext,
  keyId: string,
  limits: ConversationLimits,
  scope: ConversationScope,
  record: ConnectionRecord,
): Promise<DeviceQueryResult | null> {
  const { commands, hub, emit } = server;
  const { setMode } = limits;
  const { environmentId, ...conversation } = scope;
  const connection = await findSettled(server, record);
  if (connection === null) return null;
  const result = { kind: "needs_mode_switch", connection } as const;
  // An earlier message may have had it switched.
  if (setMode === null || !needsModeSwitch(server, limits, scope)) return { ...result, refusal: null };
  const kind = `set_mode ${setMode}` as const;
  const pauseMs = commands.pauseMs(environmentId, kind);
  if (pauseMs > 0) return { ...result, refusal: problemResponse("mode_not_set", repeatAfter(pauseMs)) };
  const outcome = await commands.runUnlessSilent(environmentId, kind, () =>
    commands.changeMode(commandTargetOf(hub, connection), conversation, setMode),
  );
  const isSent = outcome.kind === "done" || outcome.kind === "rejected" || outcome.kind === "unknown";
  if (isSent)
    emit({ type: "mode_switched", ...connection.device, ...conversation, mode: setMode, keyId, outcome: outcome.kind });
  return { ...result, refusal: outcome.kind === "done" ? null : problemResponse("mode_not_set", describe(outcome)) };
}

function describe(outcome: CommandOutcome<string>): { readonly detail?: string } {
  if (outcome.kind === "busy") return { detail: "Other commands wait for the device. The message was not sent." };
  return outcome.kind === "unknown" && outcome.reason === "timeout"
    ? {}
    : { detail: "The device did not switch the conversation to the mode that the key sets. The message was not sent." };
}
