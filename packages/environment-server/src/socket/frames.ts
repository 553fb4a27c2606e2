/**
 * Frames of the device protocol (v2): JSON texts over one WebSocket. This server understands eight types from a device;
 * everything else is ignored.
 */
import { environmentModes } from "@letta-environments/schema";
import type { InputPayload } from "../delivery/plan.ts";
import { type CommandResponse, commandResponseTypes, parseCommandResponse } from "../dialects/command-frames.ts";
import { toPublicText } from "../dialects/public-text.ts";
import { maxParsedLength } from "../limits.ts";
import type { DeviceStatus } from "../ports.ts";

/** The conversation of a frame. The agent is empty for a conversation without one. */
export interface FrameRuntime {
  readonly agentId: string;
  readonly conversationId: string;
}

/** The members of a device's status that a frame changes. `null` removes a value. */
export type StatusChange = { -readonly [Name in keyof DeviceStatus]?: DeviceStatus[Name] };

/** A parsed frame from a device. */
export type DeviceFrame =
  | { readonly kind: "ping" }
  | {
      readonly kind: "input_accepted";
      readonly requestId: string;
      readonly accepted: boolean;
      readonly disposition: string | null;
      readonly error: string | null;
    }
  | {
      readonly kind: "update_device_status";
      /** `null`: of the device as a whole. */
      readonly runtime: FrameRuntime | null;
      readonly change: StatusChange;
      /** Number of changes of a directory that the device has made or refused; `null` when it does not count them. */
      readonly directoryRevision: number | null;
    }
  | CommandResponse
  | {
      readonly kind: "update_queue";
      readonly runtime: FrameRuntime;
      /** Id of each queued item; `null` for an item that no caller sent. */
      readonly messageIds: readonly (string | null)[];
    }
  | {
      readonly kind: "update_loop_status";
      readonly runtime: FrameRuntime;
      /** Ids of messages that the latest runs of the conversation have consumed. */
      readonly messageIds: readonly (string | null)[];
    }
  /** A well-formed frame of another type. */
  | { readonly kind: "other"; readonly type: string }
  | { readonly kind: "invalid"; readonly rule: string };

/**
 * Recognises a frame that need not be parsed: one of a type that the server does not use, which devices write first, or one that
 * would take too much time or memory. `null` for any other.
 */
export function skipFrame(text: string): DeviceFrame | null {
  const type = /^\{"type":"([a-z_]{1,64})"/.exec(text)?.[1];
  if (type !== undefined && !understoodTypes.has(type)) return { kind: "other", type };
  if (text.length > maxParsedLength)
    return { kind: "invalid", rule: `must have at most ${maxParsedLength} characters` };
  return /[[{]{32}/.test(text) ? { kind: "invalid", rule: "must not be nested deeply" } : null;
}

/** Parses a text frame. It never throws: a device may be newer than the server. */
export function parseFrame(text: string): DeviceFrame {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch {
    return { kind: "invalid", rule: "must be JSON" };
  }
  if (!isMembers(value)) return { kind: "invalid", rule: "must be an object" };
  const { type } = value;
  switch (type) {
    case "ping":
      return { kind: "ping" };
    case "input_accepted":
      return parseAcknowledgement(value);
    case "update_device_status":
      return parseStatus(value);
    case "update_queue":
      return parseQueue(value);
    case "update_loop_status":
      return parseLoopStatus(value);
    case "abort_message_response":
    case "resume_queue_response":
    case "remove_queue_item_response":
      return parseCommandResponse(value) ?? { kind: "invalid", rule: `${type} must have request_id and success` };
    default:
      return typeof type === "string" && /^[A-Za-z0-9_.:-]{1,64}$/.test(type)
        ? { kind: "other", type }
        : { kind: "invalid", rule: "must have a type" };
  }
}

/** Response to a device's `{"type":"ping"}`. A device drops its socket when four of its pings have no response. */
export const pongFrame: string = JSON.stringify({ type: "pong" });

/** Builds the frame that delivers messages or a decision. The device acknowledges it with `input_accepted`. */
export function buildInputFrame(requestId: string, runtime: FrameRuntime, payload: InputPayload): string {
  return JSON.stringify({ type: "input", request_id: requestId, runtime: toWireRuntime(runtime), payload });
}

/** Builds the frame that makes a device report the state of a conversation, including its queue. */
export function buildSyncFrame(requestId: string, runtime: FrameRuntime): string {
  return JSON.stringify({
    type: "sync",
    request_id: requestId,
    runtime: toWireRuntime(runtime),
    recover_approvals: false,
  });
}

function toWireRuntime({ agentId, conversationId }: FrameRuntime): {
  agent_id: string | null;
  conversation_id: string;
} {
  return { agent_id: agentId === "" ? null : agentId, conversation_id: conversationId };
}

type Members = Readonly<Record<string, unknown>>;

const understoodTypes = new Set([
  "ping",
  "input_accepted",
  "update_device_status",
  "update_queue",
  "update_loop_status",
  ...commandResponseTypes,
]);

const maxPathLength = 4_096;
const maxIdLength = 256;

function parseAcknowledgement(frame: Members): DeviceFrame {
  const { request_id: requestId, accepted, disposition, error } = frame;
  if (typeof requestId !== "string" || requestId.length > maxIdLength || typeof accepted !== "boolean") {
    return { kind: "invalid", rule: "input_accepted must have request_id and accepted" };
  }
  return {
    kind: "input_accepted",
    requestId,
    accepted,
    disposition: typeof disposition === "string" && /^[a-z_]{1,32}$/.test(disposition) ? disposition : null,
    error: typeof error === "string" ? toPublicText(error) : null,
  };
}

function parseStatus(frame: Members): DeviceFrame {
  const { device_status: status } = frame;
  if (!isMembers(status)) return { kind: "invalid", rule: "update_device_status must have device_status" };
  const change: StatusChange = {};
  if ("current_permission_mode" in status) change.currentMode = toMode(status["current_permission_mode"]);
  if ("current_working_directory" in status) change.workingDirectory = toPath(status["current_working_directory"]);
  if ("git_context" in status) {
    const context = status["git_context"];
    change.gitBranch = isMembers(context) ? toPath(context["branch"]) : null;
  }
  const runtime = parseRuntime(frame["runtime"]);
  const revision = status["cwd_revision"];
  return {
    kind: "update_device_status",
    // Devices send a conversation with every status. Without one, the status is still of use.
    runtime: "kind" in runtime ? null : runtime,
    change,
    directoryRevision: typeof revision === "number" ? revision : null,
  };
}

function parseQueue(frame: Members): DeviceFrame {
  const { queue } = frame;
  if (!Array.isArray(queue)) return { kind: "invalid", rule: "update_queue must have queue" };
  const runtime = parseRuntime(frame["runtime"]);
  if ("kind" in runtime) return runtime;
  const messageIds = queue.map((item: unknown) => (isMembers(item) ? toMessageId(item["client_message_id"]) : null));
  return { kind: "update_queue", runtime, messageIds };
}

/** Without a list of messages, as of older devices, it is like any other frame. */
function parseLoopStatus(frame: Members): DeviceFrame {
  const status = frame["loop_status"];
  const byRun = isMembers(status) ? status["client_message_ids_by_run_id"] : undefined;
  const runtime = parseRuntime(frame["runtime"]);
  if (!isMembers(byRun) || "kind" in runtime) return { kind: "other", type: "update_loop_status" };
  return { kind: "update_loop_status", runtime, messageIds: Object.values(byRun).flat().map(toMessageId) };
}

function parseRuntime(runtime: unknown): FrameRuntime | Extract<DeviceFrame, { readonly kind: "invalid" }> {
  const { agent_id: agentId, conversation_id: conversationId } = isMembers(runtime) ? runtime : {};
  if (typeof conversationId !== "string" || conversationId.length > maxIdLength) {
    return { kind: "invalid", rule: "runtime must have conversation_id" };
  }
  if (typeof agentId === "string" && agentId.length > maxIdLength) {
    return { kind: "invalid", rule: "agent_id is too long" };
  }
  return { agentId: typeof agentId === "string" ? agentId : "", conversationId };
}

/** Maps a device's mode to the API's name; `null` for `strict` and newer modes, which have no name in the API. */
function toMode(mode: unknown): string | null {
  return environmentModes.find((known) => known === mode) ?? null;
}

function toPath(value: unknown): string | null {
  return typeof value === "string" && value !== "" && value.length <= maxPathLength ? value : null;
}

function toMessageId(value: unknown): string | null {
  return typeof value === "string" && value.length <= maxIdLength ? value : null;
}

function isMembers(value: unknown): value is Members {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
