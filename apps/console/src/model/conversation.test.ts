import type { StreamedEvent } from "@letta-environments/client";
import { expect, test } from "vitest";
import { addEvent, addSent, type Entry, isBusy } from "./conversation.ts";

let id = 0;
function output(delta: Readonly<Record<string, unknown>>, members: object = {}): StreamedEvent {
  id += 1;
  const target = { deviceId: "d", connectionId: "c", agentId: "a", conversationId: "default" };
  return { type: "output", id: String(id), ...target, delta, ...members };
}

function status(state: string, members: object = {}): StreamedEvent {
  const message = { clientMessageId: "m-1", deviceId: "d", agentId: "a", conversationId: "default", state, ...members };
  return { type: "message", id: "1", deviceId: "d", connectionId: "c", message };
}

const after = (...events: readonly StreamedEvent[]): readonly Entry[] =>
  events.reduce((entries, event) => addEvent(entries, event), [] as readonly Entry[]);

test("pieces of a text are joined, even with other entries between them", () => {
  const text = (content: unknown) => output({ message_type: "assistant_message", id: "t", content });
  const entries = after(
    text("po"),
    output({ message_type: "status", message: "busy" }),
    text([{ type: "text", text: "ng" }]),
  );
  expect(entries.map((entry) => ("text" in entry ? entry.text : ""))).toEqual(["pong", "busy"]);
});

test("a tool call is one entry from its arguments to its result", () => {
  const call = { name: "Bash", tool_call_id: "c-1" };
  const entries = after(
    output({ message_type: "approval_request_message", tool_call: { ...call, arguments: '{"comm' } }),
    output({ message_type: "approval_request_message", tool_call: { ...call, arguments: 'and":"ls"}' } }),
    output({ message_type: "client_tool_start", tool_call_id: "c-1", tool_name: "Bash" }),
    output({ message_type: "tool_return_message", tool_call_id: "c-1", status: "success", tool_return: "a.txt" }),
  );
  expect(entries).toEqual([
    { kind: "tool", key: "tool c-1", tool: "Bash", input: '{"command":"ls"}', result: "a.txt", state: "done" },
  ]);
});

test("a message moves through its states, and keeps its outcome", () => {
  const sent = addSent([], "m-1", "Hello");
  const entries = [status("running"), status("finished", { durationMs: 700 })].reduce(
    (all, event) => addEvent(all, event),
    sent,
  );
  expect(entries).toMatchObject([{ text: "Hello", status: { state: "finished", durationMs: 700 } }]);
});

test("a conversation is busy only while a message is being sent, queued, running or waiting", () => {
  expect(isBusy([])).toBe(false);
  expect(isBusy(addSent([], "m-1", "Hello"))).toBe(true);
  for (const state of ["accepted", "running", "waiting_for_approval"]) expect(isBusy(after(status(state)))).toBe(true);
  for (const state of ["finished", "cancelled", "evicted", "failed", "unknown", "newer"])
    expect(isBusy(after(status(state)))).toBe(false);
});

test("the end of a turn stops the tool calls that have no result, and the end of a queued message does not", () => {
  const call = output({ message_type: "client_tool_start", tool_call_id: "c-1", tool_name: "Bash" });
  const stateOf = (entries: readonly Entry[]): unknown => entries.find(({ kind }) => kind === "tool");
  for (const state of ["finished", "cancelled"])
    expect(stateOf(after(status("running"), call, status(state)))).toMatchObject({ state: "stopped" });
  const running = after(status("running"), call, status("accepted", { clientMessageId: "m-2" }));
  const removed = addEvent(running, status("cancelled", { clientMessageId: "m-2" }));
  expect(stateOf(removed)).toMatchObject({ state: "running" });
  const late = output({ message_type: "tool_return_message", tool_call_id: "c-1", tool_return: "a.txt" });
  expect(stateOf(after(status("running"), call, status("finished"), late))).toMatchObject({ state: "done" });
});

test("another client's message is shown with the text that the device echoes", () => {
  const repeated = output({
    message_type: "user_message",
    otid: "m-1",
    content: [{ type: "text", text: "From a script" }],
  });
  expect(after(status("running"), repeated)).toMatchObject([{ kind: "sent", text: "From a script" }]);
  expect(addEvent(addSent([], "m-1", "Mine"), repeated)).toMatchObject([{ text: "Mine" }]);
});

test("input from a device is never trusted: members of the wrong type are ignored", () => {
  const hostile = [7, null, { toString: "x" }, [], [7], "x".repeat(3)];
  for (const value of hostile)
    for (const type of ["assistant_message", "tool_call_message", "client_tool_start", "loop_error", "status", value])
      expect(() =>
        after(
          output({
            message_type: type,
            content: value,
            tool_call: value,
            tool_calls: value,
            tool_call_id: value,
            message: value,
          }),
        ),
      ).not.toThrow();
  expect(after(output({ message_type: "assistant_message", content: 7 }), output({}))).toEqual([]);
});

test("output of subagents is left out, a gap is shown, and old entries are dropped", () => {
  expect(after(output({ message_type: "assistant_message", content: "x" }, { subagentId: "s" }))).toEqual([]);
  expect(after({ type: "gap", id: "9", reason: "lost" })).toMatchObject([{ kind: "gap" }]);
  const many = Array.from({ length: 1_100 }, (_, index) => output({ message_type: "status", message: `n ${index}` }));
  const kept = after(...many);
  expect(kept).toHaveLength(1_000);
  expect(kept.at(-1)).toMatchObject({ text: "n 1099" });
});

test("a shortened text ends with exactly one note that it was shortened", () => {
  const text = (content: string) => output({ message_type: "assistant_message", id: "t", content });
  const [entry] = after(text("x".repeat(150_000)), text("y".repeat(150_000)), text("z"));
  const end = "y\n… The rest is not shown.";
  expect(entry).toMatchObject({ text: `${"x".repeat(150_000)}${"y".repeat(49_999)}${end}` });
});
