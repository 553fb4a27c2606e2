import { expect, test } from "vitest";
import { assignMessageIds } from "./assign-message-ids.ts";

test("only user messages without an id get one, each its own, and the input stays as it is", () => {
  let count = 0;
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
  expect(assignMessageIds(input, () => `id-${(count += 1)}`)).toEqual({
    agentId: "agent-1",
    messages: [
      { role: "user", content: "a", client_message_id: "id-1", otid: "id-1" },
      { role: "user", content: "b", client_message_id: "mine" },
      approval,
      { role: "user", content: "c", client_message_id: "id-2", otid: "mine" },
    ],
  });
  expect(input).toEqual(before);
});

test("ids are random, and a body that has them all is left alone", () => {
  const once = assignMessageIds({ messages: [{ role: "user", content: "a" }], conversationId: null });
  const [message] = once.messages;
  expect(message).toMatchObject({ client_message_id: expect.stringMatching(/^[\d-]{7,}$/) });
  expect(assignMessageIds(once)).toEqual(once);
});
