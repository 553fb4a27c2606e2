import { problemBody } from "@letta-environments/schema";
import { expect, test } from "vitest";
import { parseFrame, classifyUnparsed } from "./parse.ts";
import { saysAgentsApiMissing } from "./turn-frames.ts";

const runtime = { agent_id: "agent-1", conversation_id: "default" };
const conversation = { agentId: "agent-1", conversationId: "default" };
const parse = (frame: unknown): ReturnType<typeof parseFrame> => parseFrame(JSON.stringify(frame));

test("a loop status contains the runs with their messages, and the state of the loop", () => {
  const loop_status = {
    status: "PROCESSING_API_RESPONSE",
    active_run_ids: ["run-2", 1],
    client_message_ids_by_run_id: { "run-1": ["a", "b"], "run-2": ["c", 1] },
  };
  expect(parse({ type: "update_loop_status", runtime, loop_status })).toEqual({
    kind: "update_loop_status",
    runtime: conversation,
    activity: "active",
    activeRunIds: ["run-2"],
    runs: [
      { runId: "run-1", messageIds: ["a", "b"] },
      { runId: "run-2", messageIds: ["c"] },
    ],
  });
  const activityOf = (status: unknown): unknown =>
    parse({ type: "update_loop_status", runtime, loop_status: { status } });
  expect(activityOf("WAITING_ON_INPUT")).toMatchObject({ activity: "idle", runs: null });
  expect(activityOf("WAITING_ON_APPROVAL")).toMatchObject({ activity: "waiting" });
  expect(activityOf("A_NEWER_STATUS")).toMatchObject({ activity: "active" });
  // A change of the mode or the directory, which is not a turn.
  expect(activityOf("EXECUTING_COMMAND")).toMatchObject({ activity: null });
  expect(activityOf(7)).toMatchObject({ activity: null });
  const other = { kind: "other", type: "update_loop_status" };
  expect(parse({ type: "update_loop_status", loop_status })).toEqual(other);
  expect(parse({ type: "update_loop_status", runtime })).toEqual(other);
});

test("a loop status may list many runs, and only the latest are read", () => {
  const ids = Array.from({ length: 100 }, (_, index) => `run-${index}`);
  const loop_status = {
    status: "PROCESSING_API_RESPONSE",
    client_message_ids_by_run_id: Object.fromEntries(ids.map((id) => [id, ["m"]])),
  };
  const frame = parse({ type: "update_loop_status", runtime, loop_status });
  const runs = frame.kind === "update_loop_status" ? frame.runs : null;
  expect(runs?.map(({ runId }) => runId)).toEqual(ids.slice(-64));
});

test("a queue report contains the well-formed removals, or null if the device reports none", () => {
  const removed = [
    { client_message_id: "a", disposition: "dequeued" },
    { client_message_id: "b", disposition: "cancelled" },
    { client_message_id: "c", disposition: "exploded" },
    { client_message_id: 1, disposition: "dequeued" },
    null,
  ];
  expect(parse({ type: "update_queue", runtime, queue: [], removed })).toMatchObject({
    removed: [
      { messageId: "a", disposition: "dequeued" },
      { messageId: "b", disposition: "cancelled" },
    ],
  });
  expect(parse({ type: "update_queue", runtime, queue: [], removed: "all" })).toMatchObject({ removed: null });
});

test("the end of a turn has its reason, one line of its error, and counters that are whole numbers", () => {
  const usage = { prompt_tokens: 12, completion_tokens: -1, total_tokens: 1.5, step_count: "2", context_tokens: 9 };
  expect(
    parse({
      type: "turn_finished",
      runtime,
      turn_id: "t",
      stop_reason: "error",
      run_id: "run-1",
      error: "a\u001b[31m\nb",
      usage,
    }),
  ).toEqual({
    kind: "turn_finished",
    runtime: conversation,
    runId: "run-1",
    stopReason: "error",
    error: "a [31m b",
    usage: { promptTokens: 12, contextTokens: 9 },
  });
  expect(parse({ type: "turn_finished", runtime, stop_reason: "end_turn" })).toMatchObject({
    runId: null,
    usage: null,
  });
  expect(parse({ type: "turn_finished", stop_reason: "end_turn" }).kind).toBe("invalid");
});

test("a turn ends whatever its reason is, and a reason that cannot be read is not shown", () => {
  const reasonOf = (stopReason: unknown): unknown => {
    const frame = parse({ type: "turn_finished", runtime, stop_reason: stopReason });
    return frame.kind === "turn_finished" ? frame.stopReason : frame;
  };
  const longest = "context_window_overflow_in_system_prompt";
  expect([longest, "a_newer_reason", "<b>", "x".repeat(65), 7, undefined].map(reasonOf)).toEqual([
    longest,
    "a_newer_reason",
    null,
    null,
    null,
    null,
  ]);
});

test("the assistant's text and errors are read from deltas; those of subagents are not", () => {
  const delta = (members: object, more: object = {}): unknown =>
    parse({ type: "stream_delta", runtime, delta: members, ...more });
  const text = {
    message_type: "assistant_message",
    id: "a-1",
    content: [{ type: "text", text: "po\u0007" }, { type: "image" }, { type: "text", text: "ng\n" }],
  };
  expect(delta(text)).toEqual({ kind: "assistant_text", runtime: conversation, id: "a-1", text: "pong\n", key: null });
  expect(delta({ ...text, content: "x" }, { idempotency_key: "k-1" })).toMatchObject({ text: "x", key: "k-1" });
  expect(delta({ ...text, content: 1 })).toMatchObject({ text: "" });
  expect(delta(text, { subagent_id: "s" })).toMatchObject({ kind: "other" });
  const error = { message_type: "loop_error", message: "404 {}", stop_reason: "error", is_terminal: true };
  expect(delta(error)).toEqual({
    kind: "loop_error",
    runtime: conversation,
    message: "404 {}",
    stopReason: "error",
    isTerminal: true,
    isOfTurn: true,
  });
  const ofCommand = { ...error, is_terminal: false, message: null };
  expect(delta(ofCommand)).toMatchObject({ isTerminal: false, isOfTurn: false });
  expect(delta({ ...ofCommand, run_id: "run-1" })).toMatchObject({ isTerminal: false, isOfTurn: true });
  expect(delta({ ...ofCommand, stop_reason: "llm_api_error" })).toMatchObject({ isTerminal: false, isOfTurn: true });
  expect(delta({ ...error, is_terminal: undefined })).toMatchObject({ isTerminal: true, isOfTurn: true });
  expect(delta({ message_type: "reasoning_message" })).toMatchObject({ kind: "other" });
});

test("other kinds of deltas are not parsed, whatever their text contains", () => {
  const skipped = (delta: unknown): unknown =>
    classifyUnparsed(JSON.stringify({ type: "stream_delta", delta, runtime }));
  expect(skipped({ id: "a", message_type: "assistant_message" })).toBeNull();
  expect(skipped({ id: "a", message_type: "loop_error" })).toBeNull();
  expect(skipped({ id: "a", message_type: "tool_return_message" })).toMatchObject({ kind: "other" });
  const quoted = { id: "a", message_type: "reasoning_message", reasoning: '"message_type":"assistant_message"' };
  expect(skipped(quoted)).toMatchObject({ kind: "other" });
  // Devices write the type near the start, so the rest of a long text is not searched.
  expect(skipped({ id: "x".repeat(2_000), message_type: "assistant_message" })).toMatchObject({ kind: "other" });
});

test("the errors of turns without an agents API are recognised, as 0.32.18 and 0.25.9 report them", () => {
  const problem = problemBody("endpoint_not_found");
  expect(saysAgentsApiMissing(problem.detail)).toBe(true);
  expect(saysAgentsApiMissing(`404 ${problem.message}`)).toBe(true);
  expect(saysAgentsApiMissing(`404 ${JSON.stringify(problem).slice(0, 490)}`)).toBe(true);
});

test.each([
  "Agent agent-local-none not found",
  "404 {}",
  "No endpoints found for this model.",
  "endpoint_not_found",
  "",
])("another error is not mistaken for a missing agents API: %s", (error) => {
  expect(saysAgentsApiMissing(error)).toBe(false);
});
