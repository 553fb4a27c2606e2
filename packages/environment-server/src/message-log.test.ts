import { describe, expect, test } from "vitest";
import { comparePositions, type MessagePosition, parseCursor, formatCursor } from "./message-log.ts";

const place: MessagePosition = { sentAt: 5_000, messageId: "m-1", agentId: "agent-1", conversationId: "default" };

describe("the order of messages and its cursors", () => {
  test.each<Partial<MessagePosition>>([
    {},
    { messageId: '"],["\\', agentId: "", conversationId: "ä\u0001\n" },
    { messageId: "🙂".repeat(128), agentId: "語".repeat(256), conversationId: "🙂".repeat(128) },
  ])("a cursor round-trips: %j", (change) => {
    const cursor = formatCursor({ ...place, ...change });
    expect(cursor).toMatch(/^\d+\.[\w-]{4,4096}$/);
    expect(parseCursor(cursor)).toEqual({ ...place, ...change });
  });

  test.each(["5000.AAAA", "5000.W10", "5000.WzFd", "5000.", "5000.WyJhIiwiYiIsMV0", "x", "5000._____w"])(
    "a text that was not returned by a page is not a cursor: %s",
    (text) => {
      expect(parseCursor(text)).toBeNull();
    },
  );

  test("later messages come first, and those of the same time have a fixed order", () => {
    const places = [
      { ...place, sentAt: 6_000 },
      { ...place, messageId: "m-2" },
      { ...place, agentId: "agent-2" },
      { ...place, conversationId: "later" },
      place,
      { ...place, sentAt: 4_000 },
    ];
    expect(places.toReversed().toSorted(comparePositions)).toEqual(places);
    expect(comparePositions(place, { ...place })).toBe(0);
  });
});
