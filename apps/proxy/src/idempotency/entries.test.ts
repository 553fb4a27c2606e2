import { sha256Hex } from "@letta-environments/platform/node";
import { canonicalJson, type SendMessageBody } from "@letta-environments/schema";
import { expect, test } from "vitest";
import { problemOf } from "../../test/support/test-proxy.ts";
import { maxIds, readSendIds, type SendIds } from "./entries.ts";

const user = (id: string, content = "x") => ({ role: "user", content, client_message_id: id }) as const;
const decision = { approve: true, tool_call_id: "call-1" };
const approvals = (...decisions: object[]) => ({ type: "approval", approvals: decisions }) as const;

function idsOf(body: unknown, key: string | null = null): SendIds {
  const read = readSendIds(body as SendMessageBody, key, sha256Hex);
  if (read.kind === "refused") throw new Error("refused");
  return read.ids;
}

const fingerprintsOf = (body: unknown, key: string | null = null): Record<string, string> =>
  Object.fromEntries(idsOf(body, key).entries.map(({ id, fingerprint }) => [id, fingerprint]));

test("a body reserves the ids of its messages, of its tool calls and its Idempotency-Key, separately by kind", () => {
  const toolReturn = { status: "success", tool_call_id: "m", tool_return: "" };
  const { entries } = idsOf({ messages: [user("m"), approvals({ ...decision, tool_call_id: "m" }, toolReturn)] }, "m");
  expect(entries.map(({ id, kind, member }) => [id, kind, member])).toEqual([
    ["message:m", "message", "messages[0].client_message_id"],
    ["decision:m", "decision", "messages[1].approvals[0].tool_call_id"],
    ["tool_return:m", "tool_return", "messages[1].approvals[1].tool_call_id"],
    ["key:m", "key", "idempotency-key"],
  ]);
});

test.each([
  [{}, ["", "default"]],
  [{ agentId: "a", conversationId: null }, ["a", "default"]],
  [{ agentId: "a", conversationId: "" }, ["a", "default"]],
  [{ agentId: "a", conversationId: "default" }, ["a", "default"]],
  [{ conversationId: "c" }, ["", "c"]],
])("the conversation of %j is %j", (members, expected) => {
  const { agentId, conversationId } = idsOf({ ...members, messages: [user("m")] });
  expect([agentId, conversationId]).toEqual(expected);
});

test("a message's fingerprint depends on every user message of the body, and on nothing else", () => {
  const of = (...messages: object[]): string | undefined => fingerprintsOf({ messages })["message:m"];
  const alone = of(user("m"));
  expect(of({ client_message_id: "m", role: "user", content: "x" })).toBe(alone);
  expect(of(user("m"), approvals(decision))).toBe(alone);
  expect(new Set([alone, of(user("m", "y")), of(user("m"), user("n")), of(user("n"), user("m"))]).size).toBe(4);
});

test("a decision's fingerprint depends on that decision alone, and not on how an absent member is spelt", () => {
  const of = (change: object, ...others: object[]): string | undefined =>
    fingerprintsOf({ messages: [approvals({ ...decision, ...change }, ...others)] })["decision:call-1"];
  const alone = of({});
  expect(of({}, { approve: false, tool_call_id: "call-2" })).toBe(alone);
  expect(of({ reason: null, updated_input: null, type: "approval" })).toBe(alone);
  expect(of({ reason: "" })).toBe(alone);
  expect(of({ selected_permission_suggestion_ids: [] })).toBe(alone);
  const changes = [{ approve: false }, { reason: "r" }, { updated_input: {} }];
  const granting = { selected_permission_suggestion_ids: ["s"] };
  expect(new Set([alone, of(granting), ...changes.map((change) => of(change))]).size).toBe(5);
});

test("a decision on a request reserves the request, and the tool call as earlier versions do", () => {
  const { entries } = idsOf({ messages: [approvals({ ...decision, requested_at: 5 })] });
  const member = "messages[0].approvals[0].tool_call_id";
  const normalised = { ...decision, reason: null, requested_at: 5, updated_input: null };
  const fingerprint = sha256Hex(canonicalJson(normalised));
  expect(entries).toEqual([
    { kind: "tool_call", id: "decision:call-1", fingerprint, member },
    { kind: "decision", id: "request:5:call-1", fingerprint, member },
  ]);
});

test("the request of a decision does not count towards the ids of a body", () => {
  const decisions = Array.from({ length: maxIds }, (_, index) => ({
    approve: true,
    tool_call_id: `call-${index}`,
    requested_at: 5,
  }));
  expect(idsOf({ messages: [approvals(...decisions)] }).entries).toHaveLength(2 * maxIds);
});

test("the fingerprint of an Idempotency-Key depends on the whole body, but not on the order of its members", () => {
  const of = (body: object): string | undefined => fingerprintsOf(body, "k")["key:k"];
  const messages = [user("m")];
  expect(of({ messages, agentId: "a" })).toBe(of({ agentId: "a", messages }));
  expect(of({ messages, agentId: "a", later: 1 })).not.toBe(of({ messages, agentId: "a" }));
});

test("a body with a duplicate id or too many ids is 400 naming the member once", () => {
  const bodies = [
    { messages: [user("m"), user("m", "y")] },
    { messages: [approvals(decision), approvals({ ...decision, requested_at: 5 })] },
    { messages: [approvals({ ...decision, requested_at: 5 }), approvals({ ...decision, requested_at: 5 })] },
    { messages: Array.from({ length: maxIds + 1 }, (_, index) => user(`m-${index}`)) },
  ];
  const named = bodies.map((body) => {
    const read = readSendIds(body as SendMessageBody, null, sha256Hex);
    return (
      read.kind === "refused" && [
        read.response.status,
        ...(problemOf(read.response).errors ?? []).map(({ member }) => member),
      ]
    );
  });
  expect(named).toEqual([
    [400, "messages[1].client_message_id"],
    [400, "messages[1].approvals[0].tool_call_id"],
    [400, "messages[1].approvals[0].tool_call_id"],
    [400, "messages"],
  ]);
});
