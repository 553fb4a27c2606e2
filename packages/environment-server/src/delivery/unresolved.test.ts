import { expect, test } from "vitest";
import { createUnresolvedDeliveries } from "./unresolved.ts";

const conversation = { agentId: "agent-1", conversationId: "default" };

test("a send is confirmed when the device has listed all its messages, in one report or in several", () => {
  const unresolved = createUnresolvedDeliveries([
    { deliveryId: "one", ...conversation, messageIds: ["a"] },
    { deliveryId: "two", ...conversation, messageIds: ["b", "c"] },
  ]);
  expect(unresolved.confirm(conversation, ["x", null, "b"])).toEqual([]);
  expect(unresolved.confirm(conversation, ["a"])).toEqual(["one"]);
  expect(unresolved.confirm(conversation, ["a", "c"])).toEqual(["two"]);
  expect(unresolved.isEmpty).toBe(true);
  expect(unresolved.confirm(conversation, ["a", "b", "c"])).toEqual([]);
});

test("the same id in another conversation confirms nothing", () => {
  const unresolved = createUnresolvedDeliveries([{ deliveryId: "one", ...conversation, messageIds: ["a"] }]);
  expect(unresolved.confirm({ ...conversation, conversationId: "other" }, ["a"])).toEqual([]);
  expect(unresolved.confirm({ ...conversation, agentId: "" }, ["a"])).toEqual([]);
  expect(unresolved.conversations()).toEqual([conversation]);
});
