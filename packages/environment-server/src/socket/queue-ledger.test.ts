import { expect, test } from "vitest";
import { createQueueLedger } from "./queue-ledger.ts";

const runtime = { agentId: "agent-1", conversationId: "default" };

test("count() counts a message once, also when it is reported, acknowledged and in flight", () => {
  const ledger = createQueueLedger();
  expect(ledger.count(runtime, ["a", "b"])).toBe(2);
  ledger.accept(runtime, ["a"]);
  expect(ledger.count(runtime, ["a", "b"])).toBe(2);
  ledger.report(runtime, ["a", null]);
  expect(ledger.count(runtime, ["b"])).toBe(3);
  ledger.accept(runtime, ["a"]);
  expect(ledger.count(runtime, ["a", "b"])).toBe(3);
});

test("a report replaces everything that was known about the conversation", () => {
  const ledger = createQueueLedger();
  ledger.accept(runtime, ["a", "b"]);
  ledger.report(runtime, ["b"]);
  expect(ledger.count(runtime, [])).toBe(1);
  ledger.report(runtime, []);
  expect(ledger.count(runtime, [])).toBe(0);
  expect(ledger.busy()).toEqual([]);
});

test("ids of agents and conversations with separators are kept apart", () => {
  const ledger = createQueueLedger();
  ledger.report({ agentId: "a", conversationId: "b,c" }, ["m"]);
  expect(ledger.count({ agentId: "a,b", conversationId: "c" }, [])).toBe(0);
  expect(ledger.busy()).toEqual([{ agentId: "a", conversationId: "b,c" }]);
});

test("the latest 1,000 conversations of a device are remembered", () => {
  const ledger = createQueueLedger();
  for (let index = 0; index <= 1_000; index++) ledger.report({ agentId: "", conversationId: `conv-${index}` }, ["m"]);
  expect(ledger.busy()).toHaveLength(1_000);
  expect(ledger.count({ agentId: "", conversationId: "conv-0" }, [])).toBe(0);
  expect(ledger.count({ agentId: "", conversationId: "conv-1000" }, [])).toBe(1);
});
