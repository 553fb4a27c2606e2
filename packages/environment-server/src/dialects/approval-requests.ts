/**
 * Requests for permission to use a tool. Devices since 0.30 send each one in a separate frame; every version lists all of a
 * conversation in its status, and sends them again when it reconnects. A device asks for one permission of a turn at a time.
 */
import type { ApprovalRequest, ApprovalSuggestion } from "../approval-log.ts";
import { maxApprovalInputLength, maxApprovalsPerDevice } from "../limits.ts";
import { boundInput, shortenText } from "./bounded-input.ts";
import type { DeviceFrame } from "./frame.ts";
import { isMembers, type Members, membersOf, parseMembers, readId, readLine, readPath, readRuntime } from "./values.ts";

/** Suggestions of one request that are read. Devices send at most three. */
const maxSuggestions = 10;
const maxToolLength = 128;
/** The reason of a request, or of the decision on one, in characters. Longer reasons are cut. */
export const maxReasonLength = 500;
/** The path in a reason that has nothing else. */
const maxBlockedPathLength = 400;
/** A lasting permission is not offered if its text is longer: a click would grant more than is shown. */
const maxSuggestionLength = 500;

/** Parses `control_request`. Its conversation is in the frame itself, and since some version also in its envelope. */
export function parseApprovalRequest(frame: Members): DeviceFrame {
  const runtime = readRuntime(isMembers(frame["runtime"]) ? frame["runtime"] : frame);
  if ("kind" in runtime) return runtime;
  const request = readRequest(frame);
  if (request === null)
    return { kind: "invalid", rule: "control_request must have request_id, tool_call_id and tool_name" };
  return { kind: "control_request", runtime, request };
}

/** The members of a long request before its input, as 0.30.28 to 0.32.18 write them. Ids and names with escapes are not read. */
const longStart =
  /^\{"type":"control_request","request_id":"(perm-[^"\\]{1,251})","request":\{"subtype":"can_use_tool","tool_name":"([^"\\]{1,128})",/;
/** The maximum length of the members after a request: its conversation twice, a number, a time and a key. */
const longEndLength = 2_048;

/**
 * Reads a request that is too long to be parsed: its ids and its tool from the start, its conversation from the end. Its input counts as cut.
 * This way, policies and people can still decide on it. `null` for any other text. It never throws.
 *
 * @param text at least the end of the request
 */
export function readLongRequest(start: string, text: string): DeviceFrame | null {
  const [, requestId, tool] = longStart.exec(start) ?? [];
  const end = text.slice(-longEndLength);
  const from = end.lastIndexOf(',"runtime":{');
  if (requestId === undefined || tool === undefined || from === -1) return null;
  // With one more bracket at its start, the end is an object only if these are the last members of the frame itself.
  const members = parseMembers(`{${end.slice(from + 1)}`);
  const frame = parseApprovalRequest({ ...members, request_id: requestId, request: { tool_name: tool } });
  return frame.kind === "control_request" ? { ...frame, request: { ...frame.request, isInputCut: true } } : null;
}

/** Reads the requests that a status lists; `null` when it does not say. Requests that are not understood are left out. */
export function readPendingRequests(status: Members): readonly ApprovalRequest[] | null {
  const pending = status["pending_control_requests"];
  if (!Array.isArray(pending)) return null;
  return pending.slice(0, maxApprovalsPerDevice).flatMap((item: unknown) => readRequest(membersOf(item)) ?? []);
}

function readRequest(item: Members): ApprovalRequest | null {
  const body = membersOf(item["request"]);
  const requestId = readId(item["request_id"]);
  const toolCallId = readId(body["tool_call_id"]) ?? withoutPrefix(requestId);
  const tool = readShortLine(body["tool_name"], maxToolLength);
  if (requestId === null || toolCallId === null || toolCallId === "" || tool === null) return null;
  const { input, isCut } = boundInput(body["input"], maxApprovalInputLength);
  return {
    requestId,
    toolCallId,
    tool,
    input,
    isInputCut: isCut,
    reason: readReason(body),
    suggestions: readSuggestions(body["permission_suggestions"]),
  };
}

function withoutPrefix(requestId: string | null): string | null {
  return requestId?.startsWith("perm-") === true ? requestId.slice("perm-".length) : null;
}

function readShortLine(value: unknown, maxLength: number): string | null {
  return typeof value === "string" ? readLine(shortenText(value, maxLength)) : null;
}

function readReason(body: Members): string | null {
  const path = readPath(body["blocked_path"]);
  const reason = readShortLine(body["reason"], maxReasonLength);
  if (reason !== null || path === null) return reason;
  return readLine(`The path ${shortenText(path, maxBlockedPathLength)} is not allowed.`);
}

function readSuggestions(suggestions: unknown): ApprovalSuggestion[] {
  if (!Array.isArray(suggestions)) return [];
  return suggestions.slice(0, maxSuggestions).flatMap((item: unknown): ApprovalSuggestion[] => {
    const { id, text } = membersOf(item);
    if (typeof text !== "string" || text.length > maxSuggestionLength) return [];
    const suggestionId = readId(id);
    const shown = readLine(text);
    return suggestionId === null || shown === null ? [] : [{ id: suggestionId, text: shown }];
  });
}
