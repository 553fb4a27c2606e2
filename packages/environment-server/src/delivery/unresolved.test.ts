import { expect, test } from "vitest";
import { createUnresolvedDeliveries } from "./unresolved.ts";

const conversation = { agentId: "agent-1", conversationId: "default" };

test("a send is confirmed when the device lists one of its messages, because a queue names only the first one", () => {
  const unresolved = createUnresolvedDeliveries([
    { deliveryId: "one", ...conversation, messageIds: ["a"] },
    { deliveryId: "two", ...conversation, messageIds: ["b", "c"] },
  ]);
  expect(unresolved.confirm(conversation, ["x", null])).toEqual([]);
  expect(unresolved.confirm(conversation, ["x", null, "b"])).toEqual(["two"]);
  expect(unresolved.confirm(conversation, ["a", "c"])).toEqual(["one"]);
  expect(unresolved.conversations()).toEqual([]);
  expect(unresolved.confirm(conversation, ["a", "b", "c"])).toEqual([]);
});

test("the same id in another conversation confirms nothing", () => {
  const unresolved = createUnresolvedDeliveries([{ deliveryId: "one", ...conversation, messageIds: ["a"] }]);
  expect(unresolved.confirm({ ...conversation, conversationId: "other" }, ["a"])).toEqual([]);
  expect(unresolved.confirm({ ...conversation, agentId: "" }, ["a"])).toEqual([]);
  expect(unresolved.conversations()).toEqual([conversation]);
});
