/**
 * Parsing of a device's frames: JSON texts over one WebSocket. This folder is the only one that knows the vendor's private protocol.
 * A device may be newer or older than the server, so an unknown frame or member is ignored, and nothing throws.
 */
import { environmentModes, isNestedDeeply } from "@letta-environments/schema";
import { maxParsedLength } from "../limits.ts";
import { commandResponseTypes, parseCommandResponse, readHandledResponse } from "./command-frames.ts";
import type { Conversation } from "./conversation.ts";
import type { DeviceFrame, StatusChange } from "./frame.ts";
import type { InvalidFrame } from "./values.ts";
import { parseApprovalRequest, readLongRequest, readPendingRequests } from "./approval-requests.ts";
import { parseDelta, parseLoopStatus, parseQueue, parseTurnFinished } from "./turn-frames.ts";
import {
  isMembers,
  type Members,
  parseMembers,
  parseObject,
  readId,
  readLine,
  readPath,
  readRuntime,
  readWord,
} from "./values.ts";

/**
 * The frames that the server understands; the last ones are the responses to commands, such as `abort_message_response`. A new one also needs its
 * member of `DeviceFrame` (`frame.ts`) and its case in `receive` (`socket/receive.ts`). A `stream_delta` must also pass {@link understoodDelta}. A
 * well-formed frame of any other type updates when the device was last seen, but not its heartbeat. It counts against the limits and is not
 * logged, and viewers may receive it (`viewers/relay.ts`). The responses to `runtime_start` and `sync` are not parsed: `skipByStart` reads their ids.
 */
const parsers: ReadonlyMap<string, (frame: Members) => DeviceFrame> = new Map<string, (frame: Members) => DeviceFrame>([
  ["ping", () => ({ kind: "ping" })],
  ["input_accepted", parseAcknowledgement],
  ["update_device_status", parseStatus],
  ["update_queue", parseQueue],
  ["update_loop_status", parseLoopStatus],
  ["turn_finished", parseTurnFinished],
  ["stream_delta", parseDelta],
  ["control_request", parseApprovalRequest],
  ...commandResponseTypes.map((type) => [type, parseResponse] as const),
]);

/** The kind of a delta is near the start of a frame, after ids and dates of limited length. */
const deltaPrefixLength = 1_024;
const understoodDelta = /"message_type":"(?:loop_error|assistant_message)"/;

/**
 * Classifies a frame that need not be parsed: one of a type that the server does not use, which devices write first, or one that
 * would take too much time or memory. For a long request for permission, the start and the end are read. `null` for any other.
 */
export function classifyUnparsed(text: string): DeviceFrame | null {
  if (text.length > maxParsedLength) return readLongFrame(text, text);
  return skipByStart(text) ?? checkParsingCost(text);
}

/** Reads the start and the end of a text that is too long to be parsed. */
export function readLongFrame(start: string, end: string): DeviceFrame {
  return skipByStart(start) ?? readLongRequest(start, end) ?? tooLong;
}

const tooLong: InvalidFrame = { kind: "invalid", rule: `must have at most ${maxParsedLength} characters` };

function skipByStart(text: string): DeviceFrame | null {
  const type = /^\{"type":"([a-z_]{1,64})"/.exec(text)?.[1];
  if (type !== undefined && !parsers.has(type)) return readHandledResponse(text) ?? { kind: "other", type };
  const isOther = type === "stream_delta" && !understoodDelta.test(text.slice(0, deltaPrefixLength));
  return isOther ? { kind: "other", type } : null;
}

/** Returns the refusal of a text whose parsing would take too much time or memory; `null` for any other. */
export function checkParsingCost(text: string): InvalidFrame | null {
  if (text.length > maxParsedLength) return tooLong;
  return isNestedDeeply(text) ? { kind: "invalid", rule: "must not be nested deeply" } : null;
}

/** Parses a text frame. It never throws: a device may be newer than the server. */
export function parseFrame(text: string): DeviceFrame {
  const value = parseObject(text);
  if (typeof value === "string") return { kind: "invalid", rule: value };
  const { type } = value;
  if (typeof type !== "string") return { kind: "invalid", rule: "must have a type" };
  const parse = parsers.get(type);
  if (parse !== undefined) return parse(value);
  return /^[A-Za-z0-9_.:-]{1,64}$/.test(type) ? { kind: "other", type } : { kind: "invalid", rule: "must have a type" };
}

function parseAcknowledgement(frame: Members): DeviceFrame {
  const { accepted, disposition, error } = frame;
  const requestId = readId(frame["request_id"]);
  if (requestId === null || typeof accepted !== "boolean") {
    return { kind: "invalid", rule: "input_accepted must have request_id and accepted" };
  }
  return {
    kind: "input_accepted",
    requestId,
    accepted,
    disposition: readWord(disposition),
    error: readLine(error),
  };
}

function parseResponse(frame: Members): DeviceFrame {
  const rule = `${String(frame["type"])} must have request_id and success`;
  return parseCommandResponse(frame) ?? { kind: "invalid", rule };
}

function parseStatus(frame: Members): DeviceFrame {
  const status = frame["device_status"];
  if (!isMembers(status)) return { kind: "invalid", rule: "update_device_status must have device_status" };
  const change: StatusChange = {};
  if ("current_permission_mode" in status) change.currentMode = toMode(status["current_permission_mode"]);
  if ("current_working_directory" in status) change.workingDirectory = readPath(status["current_working_directory"]);
  if ("git_context" in status) {
    const context = status["git_context"];
    change.gitBranch = isMembers(context) ? readPath(context["branch"]) : null;
  }
  const runtime = readRuntime(frame["runtime"]);
  const revision = status["cwd_revision"];
  return {
    kind: "update_device_status",
    change,
    runtime: "kind" in runtime ? null : runtime,
    directoryRevision: typeof revision === "number" ? revision : null,
    pending: readPendingRequests(status),
  };
}

/** Maps a device's mode to the API's name; `null` for `strict` and newer modes, which have no name in the API. */
function toMode(mode: unknown): string | null {
  return environmentModes.find((known) => known === mode) ?? null;
}

/** The output of a turn: a piece of a conversation, which is passed on unchanged. */
interface OutputFrame {
  readonly runtime: Conversation;
  /** The same for a frame that the device sends again; `null` if the device does not say. */
  readonly key: string | null;
  /** The part of the turn that produced it, such as a subagent; `null` for the turn itself. */
  readonly subagentId: string | null;
  readonly delta: Members;
}

/** Whether a text is a frame with output, by its start. There are many, so they are parsed only while a caller listens. */
export function isOutput(text: string): boolean {
  return text.startsWith('{"type":"stream_delta"');
}

/** Parses a frame with output; `null` for anything else. It never throws. */
export function parseOutput(text: string): OutputFrame | null {
  const frame = parseMembers(text);
  if (frame?.["type"] !== "stream_delta") return null;
  const runtime = readRuntime(frame["runtime"]);
  const delta = frame["delta"];
  if ("kind" in runtime || !isMembers(delta)) return null;
  return { runtime, delta, key: readId(frame["idempotency_key"]), subagentId: readId(frame["subagent_id"]) };
}
