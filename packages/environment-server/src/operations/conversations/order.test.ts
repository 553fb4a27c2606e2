import { createVirtualClock } from "@letta-environments/testkit";
import { expect, test } from "vitest";
import { maxKnownStops } from "../../limits.ts";
import { createMessageOrder } from "./order.ts";

const scopeOf = (environmentId: string, conversationId = "default") => ({
  environmentId,
  agentId: "agent-1",
  conversationId,
});

test("a tenant that stops many conversations forgets its own stops, and none of another tenant", () => {
  const order = createMessageOrder(createVirtualClock());
  const message = order.arrive();
  order.markStopped("acme", scopeOf("env-a"), order.arrive());
  for (let count = 0; count < maxKnownStops; count++)
    order.markStopped("hostile", scopeOf("env-h", `conv-${count}`), order.arrive());
  expect(order.isStopped("acme", scopeOf("env-a"), message)).toBe(true);
  expect(["conv-0", "conv-1"].map((id) => order.isStopped("hostile", scopeOf("env-h", id), message))).toEqual([
    false,
    true,
  ]);
});

test("the latest request counts, in whatever order the stops of a conversation are sent", () => {
  const order = createMessageOrder(createVirtualClock());
  const [first, message, second] = [order.arrive(), order.arrive(), order.arrive()];
  order.markStopped("acme", scopeOf("env-a"), second);
  order.markStopped("acme", scopeOf("env-a"), first);
  expect(order.isStopped("acme", scopeOf("env-a"), message)).toBe(true);
  expect(order.isStopped("acme", scopeOf("env-a"), order.arrive())).toBe(false);
});
