import { expect, test } from "vitest";
import { parseFrame, classifyUnparsed } from "./parse.ts";

const parse = (frame: unknown): ReturnType<typeof parseFrame> => parseFrame(JSON.stringify(frame));
const runtime = { agent_id: "agent-1", conversation_id: "default" };

test("parseFrame returns invalid, and never throws, for anything but a JSON object with a type", () => {
  const texts = ["", "{", "null", "[]", "1", '"ping"', "{}", '{"type":1}', '{"type":null}', '{"type":"a b"}', "\u0000"];
  expect(texts.map((text) => parseFrame(text).kind)).toEqual(texts.map(() => "invalid"));
});

test("parseFrame returns invalid, and never throws, for a known type with broken members", () => {
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

test("parseFrame returns the name of an unknown type when it is a short word", () => {
  expect(parse({ type: "stream_delta", delta: {} })).toEqual({ kind: "other", type: "stream_delta" });
  expect(parse({ type: "terminal_output" })).toEqual({ kind: "other", type: "terminal_output" });
  expect(parse({ type: "x".repeat(65) }).kind).toBe("invalid");
});

test("classifyUnparsed recognises frames that need not be parsed: of another type, too long, or deeply nested", () => {
  expect(classifyUnparsed('{"type":"stream_delta","text":"')).toEqual({ kind: "other", type: "stream_delta" });
  for (const type of ["ping", "input_accepted", "update_queue", "update_loop_status", "update_device_status"]) {
    expect(classifyUnparsed(JSON.stringify({ type }))).toBeNull();
  }
  expect(classifyUnparsed(JSON.stringify({ first: 1, type: "stream_delta" }))).toBeNull();
  const queue = '{"type":"update_queue","queue":';
  expect(classifyUnparsed(queue.padEnd(512 * 1_024))).toBeNull();
  expect(classifyUnparsed(queue.padEnd(512 * 1_024 + 1))).toMatchObject({ kind: "invalid" });
  expect(classifyUnparsed(queue + "[".repeat(64))).toMatchObject({ kind: "invalid" });
});

test("brackets in a string do not count as nesting, so a command cannot hide its request for permission", () => {
  const command = `echo "${"[".repeat(80)}" '${"{".repeat(80)}' \\\\`;
  const body = { subtype: "can_use_tool", tool_name: "Bash", tool_call_id: "call-1", input: { command } };
  const request = { type: "control_request", request_id: "perm-call-1", request: body, runtime };
  const status = { type: "update_device_status", runtime, device_status: { pending_control_requests: [request] } };
  const queue = { type: "update_queue", runtime, queue: [{ client_message_id: "m-1", content: command }] };
  for (const frame of [request, status, queue]) expect(classifyUnparsed(JSON.stringify(frame))).toBeNull();
  // Nesting after such a text is still found.
  const nested = `{"type":"update_queue","text":${JSON.stringify(command)},"queue":${"[".repeat(64)}`;
  expect(classifyUnparsed(nested)).toEqual({ kind: "invalid", rule: "must not be nested deeply" });
});

test.each([
  ["brackets in a row", "["],
  ["objects", '{"a":'],
  ["lists whose first item is another", "[0, "],
  ["objects whose first member is a text with brackets", '{"\\\\":"]}\\"]}","b": '],
])("a frame with 64 nested lists and objects is parsed, and one with 65 is not: %s", (_name, open) => {
  const nested = (depth: number) => `{"type":"update_queue","a":"]}","b":${open.repeat(depth - 1)}`;
  expect(classifyUnparsed(nested(64))).toBeNull();
  expect(classifyUnparsed(nested(65))).toEqual({ kind: "invalid", rule: "must not be nested deeply" });
});

test("many lists and objects side by side do not count as nesting", () => {
  expect(classifyUnparsed(`{"type":"update_queue","queue":[${'{"a":[]},'.repeat(1_000)}{}]}`)).toBeNull();
});

test("the depth of a frame is computed in linear time, even for hostile input", () => {
  const start = `{"type":"update_queue","queue":[${"[],".repeat(80)}`;
  for (const hostile of ["[],", '"",', '"\\\\",', "\\", '"', '\\"'])
    expect(classifyUnparsed(start + hostile.repeat(100_000))).toBeNull();
});

test("parseFrame keeps the disposition of an acknowledgement when it is a word, and its error as one line of plain text", () => {
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

test("parseFrame maps the modes of devices to those of the API, and 'strict' and unknown ones to null", () => {
  const mode = (current_permission_mode: unknown): unknown =>
    parse({ type: "update_device_status", device_status: { current_permission_mode } });
  const shown = (currentMode: string | null): object => ({ kind: "update_device_status", change: { currentMode } });
  for (const known of ["standard", "acceptEdits", "unrestricted"]) expect(mode(known)).toMatchObject(shown(known));
  for (const other of ["strict", "newer", null, 1]) expect(mode(other)).toMatchObject(shown(null));
});

test("a status frame changes only the members that it contains", () => {
  const change = (device_status: unknown): unknown => parse({ type: "update_device_status", device_status });
  expect(change({})).toEqual({
    kind: "update_device_status",
    change: {},
    runtime: null,
    directoryRevision: null,
    pending: null,
  });
  expect(change({ current_working_directory: "/code", git_context: null })).toMatchObject({
    change: { workingDirectory: "/code", gitBranch: null },
  });
  expect(change({ current_working_directory: "x".repeat(5_000) })).toMatchObject({
    change: { workingDirectory: null },
  });
});

test("a queue report counts every item, also those that no caller sent", () => {
  const queue = [{ client_message_id: "m-1" }, { kind: "task" }, null];
  expect(parse({ type: "update_queue", runtime: { ...runtime, agent_id: null }, queue })).toEqual({
    kind: "update_queue",
    runtime: { agentId: "", conversationId: "default" },
    messageIds: ["m-1", null, null],
    removed: null,
  });
});
