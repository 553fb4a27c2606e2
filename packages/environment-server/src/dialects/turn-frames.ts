/**
 * The frames in which a device reports its queue and its turns. They differ between versions: `removed` and `turn_finished` exist
 * since 0.30.3, `client_message_ids_by_run_id` since 0.30.28.
 */
import { problemDefinitions } from "@letta-environments/schema";
import type { TurnCounter, TurnUsage } from "../message-log.ts";
import type { DeviceFrame, LoopFrame, QueueRemoval } from "./frame.ts";
import { cleanText, isMembers, type Members, membersOf, readId, readLine, readRuntime, readWord } from "./values.ts";

/** Runs of a conversation that are read. A device reports its last 32. */
const maxRuns = 64;
/** Messages of one run, and removals of one report, that are read. A device holds at most 300 for a conversation. */
const maxMessages = 1_000;

/** Parses `update_queue`. */
export function parseQueue(frame: Members): DeviceFrame {
  const { queue, removed } = frame;
  if (!Array.isArray(queue)) return { kind: "invalid", rule: "update_queue must have queue" };
  const runtime = readRuntime(frame["runtime"]);
  if ("kind" in runtime) return runtime;
  const messageIds = queue.map((item: unknown) => readId(membersOf(item)["client_message_id"]));
  return { kind: "update_queue", runtime, messageIds, removed: Array.isArray(removed) ? readRemovals(removed) : null };
}

/** Parses `update_loop_status`. */
export function parseLoopStatus(frame: Members): DeviceFrame {
  const runtime = readRuntime(frame["runtime"]);
  const status = frame["loop_status"];
  if ("kind" in runtime || !isMembers(status)) return { kind: "other", type: "update_loop_status" };
  const byRun = status["client_message_ids_by_run_id"];
  return {
    kind: "update_loop_status",
    runtime,
    activity: readActivity(status["status"]),
    activeRunIds: readIds(status["active_run_ids"]).slice(0, maxRuns),
    runs: isMembers(byRun) ? readRuns(byRun) : null,
  };
}

/** Parses `turn_finished`. */
export function parseTurnFinished(frame: Members): DeviceFrame {
  const runtime = readRuntime(frame["runtime"]);
  if ("kind" in runtime) return runtime;
  return {
    kind: "turn_finished",
    runtime,
    runId: readId(frame["run_id"]),
    stopReason: readWord(frame["stop_reason"]),
    error: readLine(frame["error"]),
    usage: readUsage(frame["usage"]),
  };
}

/** Parses `stream_delta`: errors and the assistant's text. Other deltas, and those of subagents, are frames of another type. */
export function parseDelta(frame: Members): DeviceFrame {
  const other: DeviceFrame = { kind: "other", type: "stream_delta" };
  const runtime = readRuntime(frame["runtime"]);
  const delta = membersOf(frame["delta"]);
  if ("kind" in runtime || typeof frame["subagent_id"] === "string") return other;
  switch (delta["message_type"]) {
    case "loop_error": {
      const message = readLine(delta["message"]) ?? "The device reported an error without a text.";
      const stopReason = readWord(delta["stop_reason"]);
      const isTerminal = delta["is_terminal"] !== false;
      // As of 0.32.18, the failure of a command names no run and has no reason but this one; errors of a stream name their run.
      const isOfCommand = readId(delta["run_id"]) === null && (stopReason ?? "error") === "error";
      return { kind: "loop_error", runtime, message, stopReason, isTerminal, isOfTurn: isTerminal || !isOfCommand };
    }
    case "assistant_message":
      return {
        kind: "assistant_text",
        runtime,
        id: readId(delta["id"]),
        text: readContent(delta["content"]),
        key: readId(frame["idempotency_key"]),
      };
    default:
      return other;
  }
}

function readRemovals(removed: readonly unknown[]): QueueRemoval[] {
  return removed.slice(0, maxMessages).flatMap((item): QueueRemoval[] => {
    const { client_message_id: id, disposition } = membersOf(item);
    const messageId = readId(id);
    if (messageId === null || (disposition !== "dequeued" && disposition !== "cancelled")) return [];
    return [{ messageId, disposition }];
  });
}

function readActivity(status: unknown): LoopFrame["activity"] {
  // A change of the mode or the directory while no turn runs is a command, and says nothing about a turn.
  if (typeof status !== "string" || status === "EXECUTING_COMMAND") return null;
  if (status === "WAITING_ON_INPUT") return "idle";
  return status === "WAITING_ON_APPROVAL" ? "waiting" : "active";
}

function readRuns(byRun: Members): NonNullable<LoopFrame["runs"]> {
  const runs = Object.entries(byRun).slice(-maxRuns);
  return runs.flatMap(([runId, ids]) =>
    readId(runId) === null ? [] : [{ runId, messageIds: readIds(ids).slice(0, maxMessages) }],
  );
}

function readIds(ids: unknown): string[] {
  return Array.isArray(ids) ? ids.map(readId).filter((id) => id !== null) : [];
}

function readContent(content: unknown): string {
  if (typeof content === "string") return cleanText(content);
  if (!Array.isArray(content)) return "";
  const texts = content.map((part: unknown) => membersOf(part)).filter((part) => part["type"] === "text");
  return cleanText(texts.map(({ text }) => (typeof text === "string" ? text : "")).join(""));
}

const counters: readonly (readonly [string, TurnCounter])[] = [
  ["prompt_tokens", "promptTokens"],
  ["completion_tokens", "completionTokens"],
  ["total_tokens", "totalTokens"],
  ["step_count", "stepCount"],
  ["cached_input_tokens", "cachedInputTokens"],
  ["cache_write_tokens", "cacheWriteTokens"],
  ["reasoning_tokens", "reasoningTokens"],
  ["context_tokens", "contextTokens"],
];

function readUsage(usage: unknown): TurnUsage | null {
  if (!isMembers(usage)) return null;
  const read: Partial<Record<TurnCounter, number>> = {};
  for (const [name, counter] of counters) {
    const value = usage[name];
    if (typeof value === "number" && Number.isSafeInteger(value) && value >= 0) read[counter] = value;
  }
  return Object.keys(read).length === 0 ? null : read;
}

const { text: endpointNotFound } = problemDefinitions.endpoint_not_found;

/**
 * Whether the error of a turn says that this server has no agents API. A device with the API backend runs its turns through one at the
 * address of this server (`GET /v1/agents/{id}` first). Its turns end with the error that the server returned for that request, as of
 * 2026-11-26: 0.32.18 reports the `detail` of the problem, 0.25.9 the status and the whole body.
 */
export function saysAgentsApiMissing(error: string): boolean {
  return error.includes(endpointNotFound) || (error.startsWith("404 ") && error.includes("endpoint_not_found"));
}
