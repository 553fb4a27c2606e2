import { expect, test } from "vitest";
import { parseFrame } from "./parse-frame.ts";

const parse = (frame: unknown): ReturnType<typeof parseFrame> => parseFrame(JSON.stringify(frame));
const runtime = { agent_id: "agent-1", conversation_id: "default" };

test("what is no JSON object with a type is invalid, never an exception", () => {
  const texts = ["", "{", "null", "[]", "1", '"ping"', "{}", '{"type":1}', '{"type":null}', '{"type":"a b"}', "\u0000"];
  expect(texts.map((text) => parseFrame(text).kind)).toEqual(texts.map(() => "invalid"));
});

test("a known type with broken members is invalid, never an exception", () => {
  const broken = [
    { type: "input_accepted" },
    { type: "input_accepted", request_id: "r" },
    { type: "input_accepted", request_id: 1, accepted: true },
    { type: "input_accepted", request_id: "r".repeat(300), accepted: true },
    { type: "input_accepted", request_id: "r", accepted: "yes" },
    { type: "update_device_status" },
    { type: "update_device_status", device_status: [] },
    { type: "update_queue", queue: [] },
    { type: "update_queue", runtime, queue: {} },
    { type: "update_queue", runtime: { agent_id: "a" }, queue: [] },
    { type: "update_queue", runtime: { ...runtime, agent_id: "a".repeat(300) }, queue: [] },
    { type: "update_queue", runtime: { ...runtime, conversation_id: "c".repeat(300) }, queue: [] },
  ];
  expect(broken.map((frame) => parse(frame).kind)).toEqual(broken.map(() => "invalid"));
});

test("a type that means nothing here is told by its name, which is short and plain", () => {
  expect(parse({ type: "stream_delta", delta: {} })).toEqual({ kind: "other", type: "stream_delta" });
  expect(parse({ type: "x".repeat(65) }).kind).toBe("invalid");
});

test("an acknowledgement keeps its disposition when it is a plain word, and its error as a plain line", () => {
  const accepted = { type: "input_accepted", request_id: "r", accepted: true };
  expect(parse({ ...accepted, disposition: "queued" })).toEqual({
    kind: "input_accepted",
    requestId: "r",
    accepted: true,
    disposition: "queued",
    error: null,
  });
  expect(parse({ ...accepted, disposition: "<b>" })).toMatchObject({ disposition: null });
  expect(parse({ ...accepted, error: "\u0007\n" })).toMatchObject({ error: null });
  expect(parse({ ...accepted, error: "a\r\n\tb\u009b" })).toMatchObject({ error: "a b" });
});

test("the modes of devices are those of the API, but 'strict', which has no name there", () => {
  const mode = (current_permission_mode: unknown): unknown =>
    parse({ type: "update_device_status", device_status: { current_permission_mode } });
  const shown = (currentMode: string | null): unknown => ({ kind: "update_device_status", change: { currentMode } });
  for (const known of ["standard", "acceptEdits", "unrestricted"]) expect(mode(known)).toEqual(shown(known));
  for (const other of ["strict", "newer", null, 1]) expect(mode(other)).toEqual(shown(null));
});

test("a status changes only what it names", () => {
  const change = (device_status: unknown): unknown => parse({ type: "update_device_status", device_status });
  expect(change({})).toEqual({ kind: "update_device_status", change: {} });
  expect(change({ current_working_directory: "/code", git_context: null })).toEqual({
    kind: "update_device_status",
    change: { workingDirectory: "/code", gitBranch: null },
  });
  expect(change({ current_working_directory: "x".repeat(5_000) })).toMatchObject({
    change: { workingDirectory: null },
  });
});

test("a queue is as long as the device says, whoever sent its items", () => {
  const queue = [{ client_message_id: "m-1" }, { kind: "task" }, null];
  expect(parse({ type: "update_queue", runtime: { ...runtime, agent_id: null }, queue })).toEqual({
    kind: "update_queue",
    runtime: { agentId: "", conversationId: "default" },
    messageIds: ["m-1", null, null],
  });
});
