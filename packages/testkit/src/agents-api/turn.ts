/**
 * The behaviour of the fake agents API in a turn. The words of a message select it. The events are the ones that a device with the API
 * backend reads from `POST /v1/conversations/{id}/messages`.
 */

/** The API's reaction to messages from a device. */
export type TurnPlan =
  /** Sends a text in pieces and ends the turn. */
  | { readonly kind: "reply"; readonly pieces: readonly string[] }
  /** Wants to run a command, for which a device asks for permission in mode `standard`. */
  | { readonly kind: "run"; readonly command: string }
  /** Begins a response and never ends it. */
  | { readonly kind: "hang" }
  /** Responds with 400, which a device does not repeat. */
  | { readonly kind: "fail" };

/** An event of a response. */
export type TurnEvent = Readonly<Record<string, unknown>>;

/**
 * Chooses what to do from the last message of a request: `run COMMAND`, `stream A B C` (one piece for each word), `hang` and `fail`. The
 * result of a tool is repeated as `done: TEXT`, and the reply to anything else is `pong`.
 */
export function planTurn(messages: unknown): TurnPlan {
  const last: unknown = Array.isArray(messages) ? messages.at(-1) : undefined;
  const approvals = member(last, "approvals");
  if (Array.isArray(approvals))
    return { kind: "reply", pieces: [`done: ${approvals.map(describeApproval).join(", ")}`] };
  const text = textOf(member(last, "content")).trim();
  const [, word = "", rest = ""] = /^(run|stream|hang|fail)\b\s*(.*)$/s.exec(text) ?? [];
  switch (word) {
    case "run":
      return { kind: "run", command: rest };
    case "stream":
      return { kind: "reply", pieces: rest.split(/(?<=\s)/) };
    case "hang":
      return { kind: "hang" };
    case "fail":
      return { kind: "fail" };
    default:
      return { kind: "reply", pieces: ["pong"] };
  }
}

/** The events of a response with an end. `runId` is unique for each request. */
export function eventsOf(plan: Extract<TurnPlan, { readonly kind: "reply" | "run" }>, runId: string): TurnEvent[] {
  const envelope = { run_id: runId, date: new Date(0).toISOString() };
  if (plan.kind === "run") {
    const toolCall = {
      name: "Bash",
      arguments: JSON.stringify({ command: plan.command, description: "Run a command of the test" }),
      tool_call_id: `call-${runId}`,
    };
    return [
      { ...envelope, message_type: "approval_request_message", id: `message-${runId}`, tool_call: toolCall, seq_id: 1 },
      { message_type: "stop_reason", stop_reason: "requires_approval" },
      usage,
    ];
  }
  const pieces = plan.pieces.map((content, index) => ({
    ...envelope,
    message_type: "assistant_message",
    id: `message-${runId}`,
    content: [{ type: "text", text: content }],
    seq_id: index + 1,
  }));
  return [...pieces, { message_type: "stop_reason", stop_reason: "end_turn" }, usage];
}

const usage = {
  message_type: "usage_statistics",
  prompt_tokens: 3,
  completion_tokens: 2,
  total_tokens: 5,
  step_count: 1,
} as const;

/** A tool result, or a denial with its reason. */
function describeApproval(approval: unknown): string {
  const result = member(approval, "tool_return");
  const reason = member(approval, "reason");
  if (result !== undefined) return textOf(result).trim();
  return `denied${typeof reason === "string" ? ` (${reason})` : ""}`;
}

function textOf(content: unknown): string {
  if (typeof content === "string") return withoutReminders(content);
  if (!Array.isArray(content)) return "";
  const texts = content.map((part: unknown) => member(part, "text"));
  return withoutReminders(texts.map((text) => (typeof text === "string" ? text : "")).join(""));
}

/** The device adds facts about itself before a message. */
function withoutReminders(text: string): string {
  return text.replaceAll(/<system-reminder>.*?<\/system-reminder>/gs, "");
}

function member(value: unknown, name: string): unknown {
  return typeof value === "object" && value !== null ? (value as Readonly<Record<string, unknown>>)[name] : undefined;
}
