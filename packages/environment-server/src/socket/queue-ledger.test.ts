import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import type { Conversation } from "../dialects/conversation.ts";
import { createQueueLedger, createQueueLedgers, type QueueHolder, type QueueLedger } from "./queue-ledger.ts";

const runtime = { agentId: "agent-1", conversationId: "default" };

function count(ledger: QueueLedger, conversation: Conversation, unacknowledgedIds: readonly string[]): number {
  return ledger.sizeOf(conversation, [{ messageIds: unacknowledgedIds, length: 0 }]).count;
}

test("a message counts once, even if it is reported, acknowledged and in flight", () => {
  const ledger = createQueueLedger();
  expect(count(ledger, runtime, ["a", "b"])).toBe(2);
  ledger.accept(runtime, ["a"], 10);
  expect(count(ledger, runtime, ["a", "b"])).toBe(2);
  ledger.report(runtime, ["a", null], 100);
  expect(count(ledger, runtime, ["b"])).toBe(3);
  ledger.accept(runtime, ["a"], 10);
  expect(count(ledger, runtime, ["a", "b"])).toBe(3);
});

test("a report replaces everything that was known about the conversation", () => {
  const ledger = createQueueLedger();
  ledger.accept(runtime, ["a", "b"], 10);
  ledger.report(runtime, ["b"], 100);
  expect(count(ledger, runtime, [])).toBe(1);
  ledger.report(runtime, [], 100);
  expect(count(ledger, runtime, [])).toBe(0);
  expect(ledger.queuedConversations()).toEqual([]);
});

test("ids of agents and conversations with separators are kept apart", () => {
  const ledger = createQueueLedger();
  ledger.report({ agentId: "a", conversationId: "b,c" }, ["m"], 100);
  expect(count(ledger, { agentId: "a,b", conversationId: "c" }, [])).toBe(0);
  expect(ledger.queuedConversations()).toEqual([{ agentId: "a", conversationId: "b,c" }]);
});

test("the latest 1,000 conversations of a device are remembered", () => {
  const ledger = createQueueLedger();
  for (let index = 0; index <= 1_000; index++)
    ledger.report({ agentId: "", conversationId: `conv-${index}` }, ["m"], 100);
  expect(ledger.queuedConversations()).toHaveLength(1_000);
  expect(count(ledger, { agentId: "", conversationId: "conv-0" }, [])).toBe(0);
  expect(count(ledger, { agentId: "", conversationId: "conv-1000" }, [])).toBe(1);
});

test("the characters of a queue are those of its last report and of what was taken since, and each message counts once", () => {
  const ledger = createQueueLedger();
  ledger.report(runtime, ["a"], 100);
  ledger.accept(runtime, ["b"], 20);
  ledger.accept(runtime, ["a"], 10);
  const sent = ["a", "b", "c"].map((messageId) => ({ messageIds: [messageId], length: 3 }));
  expect(ledger.sizeOf(runtime, sent)).toEqual({ count: 3, length: 123, otherConversationsCost: 0 });
  const other = { agentId: "agent-1", conversationId: "other" };
  expect(ledger.sizeOf(other, sent)).toEqual({ count: 3, length: 9, otherConversationsCost: 240 });
  ledger.report(runtime, [], 50);
  expect(ledger.sizeOf(other, [])).toEqual({ count: 0, length: 0, otherConversationsCost: 0 });
});

/** Reports a queue of about as many megabytes. */
function reportMegabytes(ledger: QueueLedger, megabytes: number): void {
  const ids = Array.from({ length: 1_000 }, (_, index) => `${index}`.padEnd(megabytes * 500));
  expect(ledger.report({ agentId: "agent-1", conversationId: "default" }, ids, 1)).toBeNull();
}

test("when all queues take more than 64 MiB, the tenant with the most loses one, even if each of its keys has little", () => {
  const ledgers = createQueueLedgers(createVirtualClock());
  const closed: string[] = [];
  const create = (tenant: string, keyId: string): QueueLedger =>
    ledgers.create({
      ...{ environmentId: keyId, connectionId: "c", owner: { tenant, keyId } },
      onLimitExceeded: () => void closed.push(keyId),
    });
  const victim = create("acme", "victim");
  for (let key = 0; key < 32; key++) reportMegabytes(create("greedy", `greedy-${key}`), 2);
  expect(closed).toEqual([]);
  reportMegabytes(victim, 3.5);
  expect(closed).toEqual(["greedy-0", "greedy-1"]);
});

test.each([
  { isBack: false, refused: [] },
  { isBack: true, refused: ["device-4"] },
])(
  "when a key has too many queues, those of a disconnected device are given up first, but not once it is back: $isBack",
  ({ isBack, refused }) => {
    const ledgers = createQueueLedgers(createVirtualClock());
    const closed: string[] = [];
    const holderOf = (environmentId: string): QueueHolder => {
      const owner = { tenant: "acme", keyId: "key" };
      return { environmentId, connectionId: "c", owner, onLimitExceeded: () => void closed.push(environmentId) };
    };
    reportMegabytes(ledgers.create(holderOf("gone")), 1);
    ledgers.retainAfterDisconnect("gone");
    if (isBack) expect(ledgers.resume(holderOf("gone"))).not.toBeNull();
    for (const [index, size] of [3.5, 3.6, 3.7, 3.8, 1.5].entries())
      reportMegabytes(ledgers.create(holderOf(`device-${index + 1}`)), size);
    expect(closed).toEqual(refused);
  },
);
