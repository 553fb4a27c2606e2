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

test("events are parsed the same however the text is split into chunks", () => {
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

test("an id takes effect at the end of its block, even if the block has no data", () => {
  const parser = createEventParser();
  parser.push("id: 1\n");
  expect(parser.lastEventId).toBe("");
  parser.push("\n:\nid: 2\n\nid: a\0b\n\n");
  expect(parser.lastEventId).toBe("2");
});

test.each(["漢", "é", "a\tb", "\u007f"])(
  "the id %j, which cannot be a Last-Event-ID header value, is ignored",
  (id) => {
    const parser = createEventParser();
    const events = parser.push(`id: 1\n\nid: ${id}\ndata: x\n\n`);
    expect([parser.lastEventId, events]).toEqual(["1", [{ id: "1", type: "message", data: "x" }]]);
  },
);

test("an event that arrives in many pieces is parsed in linear time", () => {
  const data = "x".repeat(4 * 2 ** 20);
  const body = `id: 1\nevent: output\ndata: ${data}\r\n\r\n`;
  const parser = createEventParser();
  const events: ParsedEvent[] = [];
  const startedAtMs = performance.now();
  for (let start = 0; start < body.length; start += 1_400)
    events.push(...parser.push(body.slice(start, start + 1_400)));
  // A search that restarts with each piece takes seconds, this one takes milliseconds.
  expect(performance.now() - startedAtMs).toBeLessThan(1_500);
  expect(events.map((event) => event.data === data)).toEqual([true]);
});

test("a line that ends with a carriage return is complete, and an empty piece changes nothing", () => {
  const parser = createEventParser();
  expect(parser.push("data: 1\r\r")).toEqual([{ id: "", type: "message", data: "1" }]);
  expect([...parser.push(""), ...parser.push("\ndata: 2\r"), ...parser.push(""), ...parser.push("\n")]).toEqual([]);
  expect(parser.push("\n")).toEqual([{ id: "", type: "message", data: "2" }]);
});

test("buffered data of an incomplete event is counted, so that it can be limited", () => {
  const parser = createEventParser();
  parser.push("data: 12345\ndata: 123");
  expect(parser.pendingLength).toBe(15);
});
