import { expect, test } from "vitest";
import { assignMessageIds } from "./assign-message-ids.ts";

test("only user messages get ids, where they have none, each its own, and the input stays as it is", () => {
  const approval = { type: "approval" as const, approvals: [{ approve: true, tool_call_id: "call-1" }] };
  const input = {
    agentId: "agent-1",
    messages: [
      { role: "user" as const, content: "a" },
      { role: "user" as const, content: "b", client_message_id: "mine" },
      approval,
      { role: "user" as const, content: "c", client_message_id: undefined, otid: "mine" },
    ],
  };
  const before = structuredClone(input);
  const { agentId, messages } = assignMessageIds(input);
  const [first, second, third, fourth] = messages as unknown as Record<string, string>[];
  expect(agentId).toBe("agent-1");
  expect(first).toEqual({
    role: "user",
    content: "a",
    client_message_id: expect.any(String),
    otid: first?.["client_message_id"],
  });
  expect(second).toEqual({ role: "user", content: "b", client_message_id: "mine", otid: "mine" });
  expect(third).toBe(approval);
  expect(fourth).toEqual({ role: "user", content: "c", client_message_id: expect.any(String), otid: "mine" });
  expect(fourth?.["client_message_id"]).not.toBe(first?.["client_message_id"]);
  expect(input).toEqual(before);
});

test("ids are random, and a body that has them all is left alone", () => {
  const once = assignMessageIds({ messages: [{ role: "user", content: "a" }], conversationId: null });
  const [message] = once.messages;
  expect(message).toMatchObject({ client_message_id: expect.stringMatching(/^[\d-]{7,}$/) });
  expect(assignMessageIds(once)).toEqual(once);
});
