import { expect, test } from "vitest";
import { createDeltaReader } from "./delta.ts";

test("texts of the agent are read from strings and lists of parts; parts without text are left out", () => {
  const read = createDeltaReader();
  const message = { message_type: "assistant_message", id: "m-1" };
  expect(read({ ...message, content: [{ type: "text", text: "po" }, { type: "image" }, 7, { text: "ng" }] })).toEqual({
    kind: "text",
    id: "m-1",
    text: "pong",
  });
  expect(read({ ...message, content: "pong" })).toEqual({ kind: "text", id: "m-1", text: "pong" });
  for (const delta of [{}, { ...message, content: [] }, { message_type: "stop_reason" }, { message_type: "newer" }])
    expect(read(delta)).toBeNull();
});

test("a tool call is shown once, when it starts, on one line with its command or path", () => {
  const read = createDeltaReader();
  const call = { name: "Bash", tool_call_id: "t-1", arguments: '{"command":"npm test","description":"x"}' };
  expect(read({ message_type: "approval_request_message", tool_call: call })).toBeNull();
  const started = {
    message_type: "client_tool_start",
    tool_call_id: "t-1",
    tool_name: "Bash",
    tool_args: call.arguments,
  };
  expect(read(started)).toEqual({ kind: "tool", tool: "Bash", input: "npm test" });
  expect(read({ message_type: "tool_return_message", tool_call_id: "t-1" })).toBeNull();
  expect(read({ message_type: "client_tool_end", tool_call_id: "t-1", status: "success" })).toBeNull();
  expect(read({ message_type: "client_tool_end", tool_call_id: "t-1", status: "error" })).toEqual({
    kind: "tool_failed",
    tool: "Bash",
  });
});

test("a tool that runs on the server is shown with its result, from arguments that arrived in parts", () => {
  const read = createDeltaReader();
  for (const part of ['{"pa', 'th":"/a"}'])
    read({ message_type: "tool_call_message", tool_calls: [{ name: "memory", tool_call_id: "t-2", arguments: part }] });
  const returned = { message_type: "tool_return_message", tool_call_id: "t-2" };
  expect(read(returned)).toEqual({ kind: "tool", tool: "memory", input: "/a" });
  expect(read(returned)).toBeNull();
  expect(read({ message_type: "tool_return_message", tool_call_id: "never seen" })).toBeNull();
});

test("arguments that nest deeply are shown as they are, because some runtimes need very long to serialise them", () => {
  const nested = (levels: number): string => `{"path":"/a","list":${"[".repeat(levels)}${"]".repeat(levels)}}`;
  const shown = [63, 64].map((levels) =>
    createDeltaReader()({
      message_type: "client_tool_start",
      tool_call_id: "t-3",
      tool_name: "X",
      tool_args: nested(levels),
    }),
  );
  expect(shown).toMatchObject([{ input: "/a" }, { input: nested(64) }]);
});

test("errors and notices have their text", () => {
  const read = createDeltaReader();
  expect(read({ message_type: "loop_error", message: "404 {}" })).toEqual({ kind: "error", text: "404 {}" });
  expect(read({ message_type: "status", message: "Interrupted" })).toEqual({ kind: "notice", text: "Interrupted" });
  expect(read({ message_type: "loop_error", message: 7 })).toEqual({ kind: "error", text: "the turn failed" });
});
