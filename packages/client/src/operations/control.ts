/**
 * Controls a conversation on a device: stops a turn, changes mode and directory, resumes or shortens the queue. Each function
 * resolves with the device's report. A command is repeated only if nothing was sent to the device: a repeat could affect something
 * else, such as the next turn. If a server lacks these operations, the error says which one is missing.
 */
import type {
  ChangeDirectoryResponse,
  ChangeModeResponse,
  ControlOperation,
  EnvironmentMode,
  RemoveQueueItemResponse,
  ResumeQueueResponse,
  StopTurnResponse,
} from "@letta-environments/schema";
import { checkIdentifier, checkMembers, checkText } from "../check.ts";
import { environmentPath, jsonHeaders, stringify } from "../encode.ts";
import type { RequestOptions } from "../options.ts";
import type { PendingCall } from "../request.ts";
import { findMissing } from "../response.ts";
import type { Transport } from "../transport.ts";
import { sendExtension } from "./extension.ts";
import { type DeviceSelector, findDevice } from "./find-device.ts";
import { pendingSend } from "./send.ts";

/** The conversation that is controlled. */
export interface ConversationInput {
  /** Required unless `conversationId` names a conversation. */
  readonly agentId?: string | undefined;
  /** The agent's default conversation when absent, null or `default`. */
  readonly conversationId?: string | null | undefined;
}

/** The turn that is stopped. */
export interface StopInput extends ConversationInput {
  /** Stops the turn only while it is in this run. */
  readonly runId?: string | undefined;
}

/**
 * Stops the turn of a conversation, or the request for permission that it waits for. `stopped` is `false` when there was
 * nothing to stop. Waiting messages stay in the queue until {@link resumeQueue} or a new message. Rejects with a
 * `LettaEnvironmentsError`.
 */
export function stop(
  transport: Transport,
  device: DeviceSelector,
  turn: StopInput,
  options?: RequestOptions,
): PendingCall<StopTurnResponse> {
  const command = { operation: "stopTurn", path: "stop", sample: { stopped: true } } as const;
  return control(transport, device, command, turn, options);
}

/** Changes the permission mode of a conversation. Resolves with the mode that the device then reports. */
export function setMode(
  transport: Transport,
  device: DeviceSelector,
  mode: EnvironmentMode,
  conversation: ConversationInput,
  options?: RequestOptions,
): PendingCall<ChangeModeResponse> {
  const command = { operation: "changeMode", path: "mode", set: { mode }, sample: { mode } } as const;
  return control(transport, device, command, conversation, options);
}

/** Changes the working directory of a conversation. Resolves with the directory that the device then reports. */
export function setDirectory(
  transport: Transport,
  device: DeviceSelector,
  directory: string,
  conversation: ConversationInput,
  options?: RequestOptions,
): PendingCall<ChangeDirectoryResponse> {
  const command = {
    operation: "changeDirectory",
    path: "directory",
    set: { directory },
    sample: { directory },
  } as const;
  return control(transport, device, command, conversation, options);
}

/** Releases the messages that a stop has paused. Resolves with their number. */
export function resumeQueue(
  transport: Transport,
  device: DeviceSelector,
  conversation: ConversationInput,
  options?: RequestOptions,
): PendingCall<ResumeQueueResponse> {
  const command = { operation: "resumeQueue", path: "queue/resume", sample: { resumed: 0 } } as const;
  return control(transport, device, command, conversation, options);
}

/** Removes a waiting message by the id that the device gave it. `removed` is `false` when the device has no such item. */
export function removeQueueItem(
  transport: Transport,
  device: DeviceSelector,
  itemId: string,
  conversation: ConversationInput,
  options?: RequestOptions,
): PendingCall<RemoveQueueItemResponse> {
  const command = { operation: "removeQueueItem", path: "queue/", sample: { removed: true }, itemId } as const;
  return control(transport, device, command, conversation, options);
}

interface Command<Value> {
  readonly operation: ControlOperation;
  readonly path: string;
  /** A sample response. Another one is usable if it has the same members, of the same types. */
  readonly sample: Value;
  /** The member of the body that the operation sets. */
  readonly set?: Readonly<Record<string, string>>;
  readonly itemId?: string;
}

function control<Value extends object>(
  transport: Transport,
  device: DeviceSelector,
  { operation, path, set = {}, itemId, sample }: Command<Value>,
  conversation: object,
  options: RequestOptions = {},
): PendingCall<Value> {
  return pendingSend(async () => {
    checkMembers("conversation", conversation, [
      "agentId",
      "conversationId",
      ...(operation === "stopTurn" ? ["runId"] : []),
    ]);
    for (const [member, value] of Object.entries(set)) checkText(member, value);
    if (operation === "removeQueueItem") checkIdentifier("itemId", itemId);
    const body = stringify("conversation", { ...conversation, ...set });
    const { connectionId } = await findDevice(transport, device, options);
    const base = `${environmentPath("connectionId", connectionId)}/${path}` as const;
    // In a query, null would be the text `null`.
    const query = Object.entries(conversation).filter(([, value]) => value !== undefined && value !== null);
    const request =
      itemId === undefined
        ? { path: base, body, headers: jsonHeaders }
        : ({ path: `${base}${itemId}?${new URLSearchParams(query)}`, method: "DELETE" } as const);
    const shape = { findMismatch: (value: unknown) => findMissing(sample, value), needed: sample };
    return sendExtension(transport, { operation, safety: "once", ...shape, ...request }, options);
  });
}
