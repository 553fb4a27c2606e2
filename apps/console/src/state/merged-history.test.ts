import type { MessageStatus } from "@letta-environments/client";
import { expect, test } from "vitest";
import type { Entry } from "../model/conversation.ts";
import { mergeHistory } from "./merged-history.ts";

const scope = { deviceId: "d", agentId: "a", conversationId: "default" };
const status = (id: string, sentAt: number, more: Partial<MessageStatus> = {}): MessageStatus => ({
  ...{ ...scope, clientMessageId: id, state: "finished", sentAt, updatedAt: sentAt },
  ...more,
});
const sent = (id: string, text: string, given: MessageStatus | null): Entry => ({
  ...{ kind: "sent", key: `sent ${id}`, text, status: given },
});
const conversation = (...entries: readonly Entry[]) => [{ agentId: "a", conversationId: "default", entries }];

test("a message that is listed and followed is shown once, with its text and the later status", () => {
  const running = status("m-1", 5, { state: "running", updatedAt: 6 });
  const ended = status("m-1", 5, { updatedAt: 9 });
  for (const [listed, followed] of [
    [running, ended],
    [ended, running],
  ] as const) {
    const items = mergeHistory([listed], false, conversation(sent("m-1", "hello", followed)));
    expect(items).toMatchObject([{ text: "hello", status: { state: "finished" } }]);
  }
});

test("the latest message is the first, also one that is being sent, and equal ids of two conversations are two messages", () => {
  const other = status("m-1", 7, { conversationId: "other" });
  const items = mergeHistory([other, status("m-1", 5)], false, conversation(sent("m-2", "new", null)));
  expect(items.map(({ status: shown }) => shown?.sentAt)).toEqual([undefined, 7, 5]);
  expect(new Set(items.map(({ key }) => key)).size).toBe(3);
});

test("followed messages that are older than the loaded ones appear when those in between are loaded", () => {
  const old = conversation(sent("m-0", "old", status("m-0", 1)), { kind: "text", key: "text 1", text: "reply" });
  expect(mergeHistory([status("m-9", 9)], true, old)).toHaveLength(1);
  expect(mergeHistory([status("m-9", 9)], false, old)).toHaveLength(2);
  expect(mergeHistory([], false, old)).toHaveLength(1);
});
