import { checkValue, SendMessageBodySchema } from "@letta-environments/schema";
import fc from "fast-check";
import { expect, test } from "vitest";
import { assignMessageIds, checkBody } from "./message.ts";

/** Any JSON value, including texts that break rules of length or of Unicode. */
const odd = fc.oneof(
  fc.jsonValue({ maxDepth: 2 }),
  fc.constantFrom("", "x", "\ud800", "\u2028", '"', "\\", "x".repeat(256), "x".repeat(257)),
);
const id = fc.string({ minLength: 1, maxLength: 20, unit: "grapheme" });
/** Mostly a valid value, and sometimes any other one. */
const or = (value: fc.Arbitrary<unknown>): fc.Arbitrary<unknown> =>
  fc.oneof({ weight: 30, arbitrary: value }, { weight: 1, arbitrary: odd });
const members = (all: Record<string, fc.Arbitrary<unknown>>, requiredKeys: string[]): fc.Arbitrary<unknown> => {
  const model: Record<string, fc.Arbitrary<unknown>> = { future: odd };
  for (const [name, value] of Object.entries(all)) model[name] = or(value);
  return or(fc.record(model, { requiredKeys }));
};
const part = members({ type: fc.constant("text"), text: fc.string() }, ["type", "text"]);
const parts = fc.array(part, { minLength: 1, maxLength: 3 });
const texts = fc.option(fc.array(fc.string(), { maxLength: 2 }));
const user = members({ client_message_id: id, role: fc.constant("user"), content: fc.oneof(id, parts), otid: id }, [
  "client_message_id",
  "role",
  "content",
  "otid",
]);
const decision = members(
  { approve: fc.boolean(), tool_call_id: id, reason: fc.option(fc.string()), updated_input: fc.option(fc.object()) },
  ["approve", "tool_call_id"],
);
const result = members(
  { status: fc.constant("success"), tool_call_id: id, tool_return: fc.string(), stdout: texts, stderr: texts },
  ["status", "tool_call_id", "tool_return"],
);
const approval = members(
  { type: fc.constant("approval"), approvals: fc.array(fc.oneof(decision, result), { minLength: 1, maxLength: 3 }) },
  ["type", "approvals"],
);
const body = fc.record(
  {
    messages: or(fc.array(fc.oneof(user, approval), { minLength: 1, maxLength: 3 })),
    agentId: or(id),
    conversationId: or(fc.option(fc.string({ maxLength: 20 }))),
  },
  { requiredKeys: ["messages"] },
);

test("checkBody never refuses a body that the schema accepts, and returns user messages with ids and roles", () => {
  let taken = 0;
  let refused = 0;
  fc.assert(
    fc.property(body, (value) => {
      // The check sees values parsed from JSON.
      const sent = JSON.parse(JSON.stringify(value));
      const isTaken = checkValue(SendMessageBodySchema, sent, "body").ok;
      let users: readonly unknown[] | undefined;
      try {
        users = checkBody(sent);
      } catch {
        refused += 1;
        expect(isTaken).toBe(false);
        return;
      }
      if (isTaken) taken += 1;
      expect(users).toEqual(sent.messages.filter((message: object) => !("approvals" in message)));
      for (const { client_message_id: clientMessageId, role } of users as Record<string, unknown>[])
        expect([typeof clientMessageId, role]).toEqual(["string", "user"]);
    }),
    { numRuns: 5_000 },
  );
  // Both outcomes must be frequent for the comparison to be meaningful.
  expect(taken).toBeGreaterThan(500);
  expect(refused).toBeGreaterThan(500);
});

test("assignMessageIds gives ids to user messages without one, each its own, and leaves the input unchanged", () => {
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

test("assignMessageIds makes random ids, and returns a body that has all ids unchanged", () => {
  const once = assignMessageIds({ messages: [{ role: "user", content: "a" }], conversationId: null });
  const [message] = once.messages;
  expect(message).toMatchObject({ client_message_id: expect.stringMatching(/^[\d-]{7,}$/) });
  expect(assignMessageIds(once)).toEqual(once);
});
