import { expect, test } from "vitest";
import { formatCursor, parseCursor } from "./cursor.ts";

test("the id of an event is read as it was written", () => {
  const cursor = { epoch: "0123456789abcdef", position: 123_456_789, atMs: 1_770_000_000_000 };
  expect(parseCursor(formatCursor(cursor))).toEqual(cursor);
});

test.each([
  "",
  "x",
  "0123456789abcdef",
  "0123456789abcdef.1",
  "0123456789ABCDEF.1.1",
  "0123456789abcdef.1.1 ",
  "1.1.1",
  "0123456789abcdef.-1.1",
])("%j is not the id of an event", (text) => expect(parseCursor(text)).toBe(null));
