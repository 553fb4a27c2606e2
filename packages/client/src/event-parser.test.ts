import { expect, test } from "vitest";
import { createEventParser, type ParsedEvent } from "./event-parser.ts";

const text = [
  "\uFEFFretry: 250\nid: a.1\n\n",
  ":\n\n",
  'id: a.2\nevent: message\ndata: {"x":\ndata:1}\n\n',
  "data\n\n",
  "event: output\r\ndata:  two\r\nunknown: x\r\n\r\n",
  "id\ndata: three\n\n",
  "data: unfinished\n",
].join("");

const expected: readonly ParsedEvent[] = [
  { id: "a.2", type: "message", data: '{"x":\n1}' },
  { id: "a.2", type: "message", data: "" },
  { id: "a.2", type: "output", data: " two" },
  { id: "", type: "message", data: "three" },
];

test("events are the same wherever their text is cut", () => {
  const plain = text.slice(1);
  for (let size = 1; size <= plain.length; size += 1) {
    const parser = createEventParser();
    const events: ParsedEvent[] = [];
    for (let start = 0; start < plain.length; start += size)
      events.push(...parser.push(plain.slice(start, start + size)));
    expect(events).toEqual(expected);
    expect([parser.retryMs, parser.lastEventId]).toEqual([250, ""]);
  }
});

test("an id counts from the end of its block on, also of a block without data", () => {
  const parser = createEventParser();
  parser.push("id: 1\n");
  expect(parser.lastEventId).toBe("");
  parser.push("\n:\nid: 2\n\nid: a\0b\n\n");
  expect(parser.lastEventId).toBe("2");
});

test("what waits for the end of its event is counted, so that it can be limited", () => {
  const parser = createEventParser();
  parser.push("data: 12345\ndata: 123");
  expect(parser.pendingLength).toBe(15);
});
