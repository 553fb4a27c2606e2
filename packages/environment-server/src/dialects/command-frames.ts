/**
 * Frames of the device protocol (v2) that control a conversation or ask about it, and the responses of a device. Stop and the two commands for the
 * queue have a response with the same `request_id`. `change_device_state` has none: its effect shows in the conversation's next
 * `update_device_status`, and its failure in a `loop_error`. Recorded from devices 0.30.28 and 0.32.18 on 2026-11-25.
 */
import { type Conversation, toWireRuntime } from "./conversation.ts";
import { type Members, membersOf, readId, readLine } from "./values.ts";

/** A command with a dedicated response of the device. */
export type ConversationCommand =
  | { readonly kind: "stop"; readonly runId: string | null }
  | { readonly kind: "resume_queue" }
  | { readonly kind: "remove_queue_item"; readonly itemId: string };

/** The members of a conversation's state that can be changed, by the device's names. With neither, the device reports its state. */
export interface StateChange {
  readonly mode?: string;
  readonly cwd?: string;
}

/** A parsed response to a command. */
export type CommandResponse = EffectResponse | ConversationResponse;

interface Response {
  readonly kind: "command_response";
  readonly requestId: string;
  /** Whether the device executed the command. */
  readonly success: boolean;
  readonly error: string | null;
}

/** The response to a {@link ConversationCommand}. */
interface EffectResponse extends Response {
  readonly command: ConversationCommand["kind"];
  /** Its effect: whether a turn was stopped, how many messages it released, whether it removed one. */
  readonly effect: boolean | number;
}

/** The response to the question for a conversation. */
interface ConversationResponse extends Response {
  readonly command: "retrieve_conversation";
  /** The agent that the conversation belongs to; `null` for none. */
  readonly agentId: string | null;
}

/** The response to a viewer's `runtime_start` or to a `sync`, which has been handled then, with or without success. */
export interface HandledResponse {
  readonly kind: "command_response";
  readonly command: "runtime_start" | "sync";
  readonly requestId: string;
}

/** Builds the frame of a command. */
export function buildCommandFrame(requestId: string, runtime: Conversation, command: ConversationCommand): string {
  const frame = { request_id: requestId, runtime: toWireRuntime(runtime) };
  switch (command.kind) {
    case "stop":
      return JSON.stringify({
        type: "abort_message",
        ...frame,
        ...(command.runId !== null && { run_id: command.runId }),
      });
    case "resume_queue":
      return JSON.stringify({ type: "resume_queue", ...frame });
    case "remove_queue_item":
      return JSON.stringify({ type: "remove_queue_item", ...frame, item_id: command.itemId });
  }
}

/** Builds the frame that changes a conversation's mode or directory. */
export function buildStateFrame(runtime: Conversation, change: StateChange): string {
  return JSON.stringify({ type: "change_device_state", runtime: toWireRuntime(runtime), payload: change });
}

/** Builds the frame that asks for a named conversation. Devices support it since 0.30.28 at the latest, and not before 0.25.9. */
export function buildConversationFrame(requestId: string, conversationId: string): string {
  return JSON.stringify({ type: "conversation_retrieve", request_id: requestId, conversation_id: conversationId });
}

/** Each type of response, with the command that it belongs to and the member that has the effect. */
const responses: ReadonlyMap<unknown, readonly [command: ConversationCommand["kind"], effect: string]> = new Map([
  ["abort_message_response", ["stop", "aborted"]],
  ["resume_queue_response", ["resume_queue", "resumed"]],
  // The device has no other member: `success` is false when it has no such item.
  ["remove_queue_item_response", ["remove_queue_item", "success"]],
]);

const conversationResponseType = "conversation_retrieve_response";

/** The types of {@link CommandResponse} frames. */
export const commandResponseTypes: readonly string[] = [...[...responses.keys()].map(String), conversationResponseType];

/** Parses the response to a command; `null` when a member is missing. */
export function parseCommandResponse(frame: Members): CommandResponse | null {
  return frame["type"] === conversationResponseType ? parseConversationResponse(frame) : parseEffectResponse(frame);
}

/** Reads a {@link HandledResponse} from the start of a text, because the agent that one to a `runtime_start` repeats can be long. */
export function readHandledResponse(text: string): HandledResponse | null {
  const [, start, requestId] =
    /^\{"type":"(?:(runtime_start)|sync)_response","request_id":"([\w-]{1,128})"/.exec(text) ?? [];
  if (requestId === undefined) return null;
  return { kind: "command_response", command: start === undefined ? "sync" : "runtime_start", requestId };
}

function parseConversationResponse({ request_id, success, conversation, error }: Members): CommandResponse | null {
  const requestId = readId(request_id);
  if (requestId === null || typeof success !== "boolean") return null;
  const agentId = readId(membersOf(conversation)["agent_id"]);
  return {
    kind: "command_response",
    command: "retrieve_conversation",
    requestId,
    success,
    agentId,
    error: readLine(error),
  };
}

function parseEffectResponse(frame: Members): CommandResponse | null {
  const [command, member] = responses.get(frame["type"]) ?? [];
  if (command === undefined || member === undefined) return null;
  const { request_id, success, error, [member]: effect } = frame;
  const requestId = readId(request_id);
  if (requestId === null || typeof success !== "boolean") return null;
  if (success && typeof effect !== "boolean" && !isCount(effect)) return null;
  return {
    kind: "command_response",
    command,
    requestId,
    success: success || command === "remove_queue_item",
    effect: typeof effect === "boolean" || isCount(effect) ? effect : false,
    error: readLine(error),
  };
}

/** Returns a device's name for a mode. Devices up to 0.25.3 report the older names. */
export function toDeviceMode(mode: string, usesOlderNames: boolean): string {
  const [from, to] = usesOlderNames ? [newerNames, olderNames] : [olderNames, newerNames];
  const index = from.indexOf(mode);
  return to[index] ?? mode;
}

/** Whether a mode that a device reported shows that it knows the older names only. */
export function isOlderModeName(mode: string): boolean {
  return olderNames.includes(mode);
}

const olderNames: readonly string[] = ["default", "bypassPermissions"];
const newerNames: readonly string[] = ["standard", "unrestricted"];

function isCount(value: unknown): value is number {
  return typeof value === "number" && Number.isSafeInteger(value) && value >= 0;
}
