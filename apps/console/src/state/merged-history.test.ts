import type { MessageStatus } from "@letta-environments/client";
import { expect, test } from "vitest";
import { addStatus, type Entry } from "../model/conversation.ts";
import { mergeHistory, withListed } from "./merged-history.ts";

const scope = { deviceId: "d", agentId: "a", conversationId: "default" };
const status = (id: string, sentAt: number, more: Partial<MessageStatus> = {}): MessageStatus => ({
  ...{ ...scope, clientMessageId: id, state: "finished", sentAt, updatedAt: sentAt },
  ...more,
});
const sent = (id: string, text: string, given: MessageStatus | null): Entry => ({
  ...{ kind: "sent", key: `sent ${id}`, text, status: given },
});
const conversation = (...entries: readonly Entry[]) => [{ agentId: "a", conversationId: "default", entries }];

test("a message that is both listed and followed is shown once, with its text and the newer status", () => {
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

test("the latest message comes first, even one that is being sent, and equal ids in two conversations are two messages", () => {
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

const said = (text: string): Entry => ({ kind: "text", key: `text ${text}`, text });
const shown = (entries: readonly Entry[], ...listed: readonly MessageStatus[]): readonly string[] =>
  withListed(entries, listed, (id) => `to ${id}`).map((entry) => ("text" in entry ? entry.text : entry.kind));

test("a conversation without events shows its listed messages in their order, with the last text of each turn", () => {
  const listed = [status("m-2", 2, { state: "running" }), status("m-1", 1, { text: "pong" })];
  expect(shown([], ...listed)).toEqual(["Of earlier turns, only the last text is kept.", "to m-1", "pong", "to m-2"]);
  expect(shown([], status("m-1", 1))).toEqual(["to m-1"]);
  const second = [...addStatus([], status("m-2", 2)), said("pong")];
  expect(shown(second, status("m-1", 1, { text: "pong" })).slice(1)).toEqual(["to m-1", "pong", "", "pong"]);
  expect(withListed([], [], () => "")).toEqual([]);
});

test("a listed message that events also report is shown once, and its text too", () => {
  const queued = status("m-2", 2, { text: "second", updatedAt: 9 });
  const events = [said("first"), said("and second")].reduce<readonly Entry[]>(
    (entries, entry) => [...entries, entry],
    addStatus(addStatus([], status("m-1", 1, { text: "first", updatedAt: 5 })), queued),
  );
  expect(shown(events, queued)).toEqual(["", "", "first", "and second"]);
});

test("a listed message comes before later sends, and a running turn comes before its output", () => {
  const later = addStatus([], status("m-9", 9));
  const old = status("m-1", 1);
  expect(shown(later, old)).toEqual(["to m-1", ""]);
  const running = status("m-5", 5, { state: "running" });
  expect(shown([said("half a")], running)).toEqual(["to m-5", "half a"]);
  expect(addStatus([said("half a")], running)[0]).toMatchObject({ key: "sent m-5" });
  expect(shown([said("of another")], status("m-5", 5, { state: "sent" }))).toEqual(["of another", "to m-5"]);
});
