import { expect, test } from "vitest";
import { describeEntry } from "./local-conversation.ts";

const entry = (role: string, content: unknown): string =>
  JSON.stringify({ type: "message", message: { role, content } });

test("describeEntry returns the text of messages without the device's system reminders", () => {
  expect(describeEntry(entry("assistant", [{ type: "text", text: "pong" }]))).toBe("assistant: pong");
  const parts = [
    { type: "text", text: "<system-reminder>\nabout you\n</system-reminder>" },
    { type: "text", text: "ping" },
  ];
  expect(describeEntry(entry("user", parts))).toBe("user: ping");
});

test.each([
  ["half a line", '{"type":"mess'],
  ["the head of the file", JSON.stringify({ type: "session" })],
  ["a tool's result", entry("tool", "done")],
  ["an empty message", entry("user", [])],
])("describeEntry returns null for %s", (_, line) => {
  expect(describeEntry(line)).toBeNull();
});
