/**
 * Reads the pieces of a turn that a device reports. Nothing from a device or a model is trusted: only known members of the right type are
 * used, and the printer makes their texts safe.
 */
import { isNestedDeeply } from "@letta-environments/schema";
import { isRecord } from "@letta-environments/schema/guards";
import { describeInput } from "../format/approval.ts";

/** A piece of a turn, for people. */
export type Piece =
  /** The next part of a text of the agent. `id` is the id of its message. */
  | { readonly kind: "text"; readonly id: string; readonly text: string }
  | { readonly kind: "tool"; readonly tool: string; readonly input: string }
  | { readonly kind: "tool_failed"; readonly tool: string }
  | { readonly kind: "error"; readonly text: string }
  | { readonly kind: "notice"; readonly text: string };

/** A tool call whose arguments arrive in parts. */
interface ToolCall {
  tool: string;
  input: string;
  isShown: boolean;
}

/** A turn with more tool calls than this forgets the oldest. */
const maxToolCalls = 1_000;

/** Returns a function that reads the deltas of one turn in their order: the piece of each, or `null` for one that has nothing for people. */
export function createDeltaReader(): (delta: Readonly<Record<string, unknown>>) => Piece | null {
  const calls = new Map<string, ToolCall>();

  function callOf(id: string): ToolCall {
    const call = calls.get(id) ?? { tool: "", input: "", isShown: false };
    calls.set(id, call);
    const [oldest = ""] = calls.keys();
    if (calls.size > maxToolCalls) calls.delete(oldest);
    return call;
  }

  function show(call: ToolCall): Piece | null {
    if (call.isShown || call.tool === "") return null;
    call.isShown = true;
    return { kind: "tool", tool: call.tool, input: describeArguments(call.input) };
  }

  return (delta) => {
    const toolCallId = stringOrEmpty(delta["tool_call_id"]);
    switch (delta["message_type"]) {
      case "assistant_message": {
        const text = contentOf(delta["content"]);
        return text === "" ? null : { kind: "text", id: stringOrEmpty(delta["id"]), text };
      }
      case "approval_request_message":
      case "tool_call_message":
        for (const each of [delta["tool_call"], delta["tool_calls"]].flat()) {
          if (!isRecord(each)) continue;
          const call = callOf(stringOrEmpty(each["tool_call_id"]));
          call.tool ||= stringOrEmpty(each["name"]);
          if (call.input.length < 65_536) call.input += stringOrEmpty(each["arguments"]);
        }
        return null;
      case "client_tool_start": {
        const call = callOf(toolCallId);
        call.tool = stringOrEmpty(delta["tool_name"]) || call.tool;
        call.input = stringOrEmpty(delta["tool_args"]) || call.input;
        return show(call);
      }
      case "client_tool_end":
        return delta["status"] === "error" ? { kind: "tool_failed", tool: callOf(toolCallId).tool || "tool" } : null;
      case "tool_return_message":
        // A tool that the agent's backend ran is reported only by its return.
        return show(callOf(toolCallId));
      case "loop_error":
        return { kind: "error", text: stringOrEmpty(delta["message"]) || "the turn failed" };
      case "status":
      case "retry": {
        const text = stringOrEmpty(delta["message"]);
        return text === "" ? null : { kind: "notice", text };
      }
      default:
        return null;
    }
  };
}

function describeArguments(text: string): string {
  // The gateway checks the frame, in which the arguments are a text.
  if (isNestedDeeply(text)) return text;
  try {
    const value: unknown = JSON.parse(text);
    return isRecord(value) ? describeInput(value) : text;
  } catch {
    return text;
  }
}

function contentOf(content: unknown): string {
  if (!Array.isArray(content)) return stringOrEmpty(content);
  return content.map((part: unknown) => (isRecord(part) ? stringOrEmpty(part["text"]) : "")).join("");
}

function stringOrEmpty(value: unknown): string {
  return typeof value === "string" ? value : "";
}
