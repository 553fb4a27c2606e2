/**
 * Requests for permission to use a tool. Devices since 0.30 send each one in a frame of its own; every version lists all of a
 * conversation in its status, and sends them again when it reconnects. A device asks for one permission of a turn at a time.
 */
import type { ApprovalRequest, ApprovalSuggestion } from "../approval-log.ts";
import { maxApprovalInputLength, maxApprovalsPerDevice } from "../limits.ts";
import { boundInput } from "./bounded-input.ts";
import type { DeviceFrame } from "./frame.ts";
import { isMembers, type Members, membersOf, readId, readLine, readPath, readRuntime } from "./values.ts";

/** Suggestions of one request that are read. Devices send at most three. */
const maxSuggestions = 10;
const maxToolLength = 128;

/** Parses `control_request`. Its conversation is in the frame itself, and since some version also in its envelope. */
export function parseApprovalRequest(frame: Members): DeviceFrame {
  const runtime = readRuntime(isMembers(frame["runtime"]) ? frame["runtime"] : frame);
  if ("kind" in runtime) return runtime;
  const request = readRequest(frame);
  if (request === null)
    return { kind: "invalid", rule: "control_request must have request_id, tool_call_id and tool_name" };
  return { kind: "control_request", runtime, request };
}

/** Reads the requests that a status lists; `null` when it does not say. What is not understood is left out. */
export function readPendingRequests(status: Members): readonly ApprovalRequest[] | null {
  const pending = status["pending_control_requests"];
  if (!Array.isArray(pending)) return null;
  return pending.slice(0, maxApprovalsPerDevice).flatMap((item: unknown) => readRequest(membersOf(item)) ?? []);
}

function readRequest(item: Members): ApprovalRequest | null {
  const body = membersOf(item["request"]);
  const requestId = readId(item["request_id"]);
  const toolCallId = readId(body["tool_call_id"]) ?? withoutPrefix(requestId);
  const tool = readLine(body["tool_name"]);
  if (requestId === null || toolCallId === null || toolCallId === "" || tool === null) return null;
  const { input, isCut } = boundInput(body["input"], maxApprovalInputLength);
  return {
    requestId,
    toolCallId,
    tool: tool.slice(0, maxToolLength),
    input,
    isInputCut: isCut,
    reason: readReason(body),
    suggestions: readSuggestions(body["permission_suggestions"]),
  };
}

function withoutPrefix(requestId: string | null): string | null {
  return requestId?.startsWith("perm-") === true ? requestId.slice("perm-".length) : null;
}

function readReason(body: Members): string | null {
  const path = readPath(body["blocked_path"]);
  return readLine(body["reason"]) ?? (path === null ? null : readLine(`The path ${path} is not allowed.`));
}

function readSuggestions(suggestions: unknown): ApprovalSuggestion[] {
  if (!Array.isArray(suggestions)) return [];
  return suggestions.slice(0, maxSuggestions).flatMap((item: unknown): ApprovalSuggestion[] => {
    const { id, text } = membersOf(item);
    const suggestionId = readId(id);
    const shown = readLine(text);
    return suggestionId === null || shown === null ? [] : [{ id: suggestionId, text: shown }];
  });
}
