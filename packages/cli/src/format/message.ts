/** How the messages of a device are printed. */
import type { MessageStatus } from "@letta-environments/client";
import {
  type Cell,
  type Column,
  formatAge,
  formatColumns,
  formatTable,
  formatTime,
  type Paint,
  plain,
} from "@letta-environments/command-line";

const columns: readonly Column[] = [
  { title: "MESSAGE", shrinks: true },
  { title: "OUTCOME", shrinks: false },
  { title: "DURATION", shrinks: false },
  { title: "AGENT", shrinks: true },
  { title: "CONVERSATION", shrinks: true },
  { title: "SENT", shrinks: false },
  { title: "ERROR OR TEXT", shrinks: true },
];

/** Messages as a table for people. */
export function formatMessageTable(
  messages: readonly MessageStatus[],
  nowMs: number,
  width: number | null,
  paint: Paint,
): string {
  const rows = messages.map((message): Cell[] => [
    plain(message.clientMessageId),
    { text: describeOutcome(message), style: styleOf(message) },
    plain(describeDuration(message.durationMs)),
    plain(message.agentId ?? ""),
    plain(message.conversationId),
    plain(message.sentAt === undefined ? "" : formatAge(message.sentAt, nowMs)),
    plain(message.error ?? firstLine(message.text)),
  ]);
  return formatTable(columns, rows, width, paint);
}

/** Messages for programs, one per line. The columns never change their position; `letta-env messages --help` names them. */
export function formatMessageLines(messages: readonly MessageStatus[]): string {
  return messages
    .map(({ clientMessageId, state, stopReason, durationMs, sentAt, agentId, conversationId, error, text }) =>
      formatColumns([
        ...[clientMessageId, state, stopReason ?? "", durationMs === undefined ? "" : String(durationMs)],
        ...[sentAt === undefined ? "" : formatTime(sentAt), agentId ?? "", conversationId, error ?? "", text ?? ""],
      ]),
    )
    .join("");
}

/** The state in words, and why the turn ended if that says more. */
function describeOutcome({ state, stopReason, error }: MessageStatus): string {
  const words = state.replaceAll("_", " ");
  if (error !== undefined && state === "finished") return "failed";
  const isUsual = stopReason === undefined || stopReason === "end_turn" || stopReason === state;
  return isUsual ? words : `${words} (${stopReason})`;
}

function styleOf({ state, error }: MessageStatus): Cell["style"] {
  if (error !== undefined || state === "failed" || state === "evicted") return "red";
  return state === "unknown" || state === "waiting_for_approval" ? "yellow" : null;
}

/** A duration with one unit, or two: `40ms`, `12s`, `3m 5s`, `2h 10m`. */
function describeDuration(durationMs: number | undefined): string {
  if (durationMs === undefined) return "";
  const seconds = Math.round(durationMs / 1_000);
  if (durationMs < 1_000) return `${Math.round(durationMs)}ms`;
  if (seconds < 60) return `${seconds}s`;
  const minutes = Math.floor(seconds / 60);
  return minutes < 60 ? `${minutes}m ${seconds % 60}s` : `${Math.floor(minutes / 60)}h ${minutes % 60}m`;
}

function firstLine(text: string | undefined): string {
  return text?.trimStart().split("\n", 1)[0] ?? "";
}
