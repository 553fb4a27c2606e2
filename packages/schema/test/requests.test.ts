import fc from "fast-check";
import { describe, expect, test } from "vitest";
import {
  decodeBody,
  decodeQuery,
  endpoints,
  type PlainResponse,
  type ProblemIssue,
  SendMessageBodySchema,
} from "../src/index.ts";
import { readFixture, withMember } from "./read-fixture.ts";

const send = endpoints.sendMessage.body;
const register = endpoints.registerEnvironment.body;
const list = endpoints.listEnvironments.query;
if (send === null || register === null || list === null) throw new Error("the table has no schema");

const encode = (value: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(value));
const issuesOf = (response: PlainResponse): ProblemIssue[] =>
  (JSON.parse(String(response.body)) as { errors?: ProblemIssue[] }).errors ?? [];

describe("bodies from real clients and devices", () => {
  test.each(["letta-code-send", "approval-send"])(
    "decodeBody accepts the body of a real client, and keeps every member: %s",
    (name) => {
      const body = readFixture(name);
      expect(decodeBody(send, encode(body), "application/json")).toEqual({ ok: true, value: body });
    },
  );

  test("decodeBody accepts the registration of a device, with unknown members", () => {
    const body = readFixture("letta-code-register");
    expect(decodeBody(register, encode(body), "application/json")).toEqual({ ok: true, value: body });
  });

  test("decodeBody accepts the registration of an older device", () => {
    const body = { deviceId: "d-1", connectionName: "old box" };
    expect(decodeBody(register, encode(body), "application/json")).toEqual({ ok: true, value: body });
  });
});

type Wrong = readonly [path: readonly (string | number)[], value: unknown, member: string, rule: string];

const user = ["messages", 0] as const;
const wrongUserBodies: readonly Wrong[] = [
  [["messages"], {}, "messages", "must be an array"],
  [["messages"], [], "messages", "must have at least one message"],
  [user, "hi", "messages[0]", "must be an object"],
  [user, [], "messages[0]", "must be an object"],
  [user, null, "messages[0]", "must be an object"],
  [[...user, "role"], "system", "messages[0].role", 'must be "user"'],
  [[...user, "content"], "", "messages[0].content", "must not be empty"],
  [[...user, "content"], 5, "messages[0].content", "must be a string or a list of text parts"],
  [[...user, "content"], [], "messages[0].content", "must have at least one part"],
  [[...user, "content", 0, "type"], "image", "messages[0].content[0].type", 'must be "text": images are not supported'],
  [[...user, "content", 0, "text"], null, "messages[0].content[0].text", "must be a string"],
  [[...user, "client_message_id"], "", "messages[0].client_message_id", "must not be empty"],
  [[...user, "client_message_id"], ".", "messages[0].client_message_id", "must not be '.' or '..'"],
  [[...user, "client_message_id"], "..", "messages[0].client_message_id", "must not be '.' or '..'"],
  [
    [...user, "client_message_id"],
    "x".repeat(257),
    "messages[0].client_message_id",
    "must have at most 256 characters",
  ],
  [[...user, "otid"], null, "messages[0].otid", "must be a string"],
  [["agentId"], null, "agentId", "must be a string"],
  [["conversationId"], 1, "conversationId", "must be a string"],
];

const approval = ["messages", 0, "approvals"] as const;
const wrongApprovalBodies: readonly Wrong[] = [
  [approval, [], "messages[0].approvals", "must have at least one approval"],
  [[...approval, 0], [], "messages[0].approvals[0]", "must be an object"],
  [[...approval, 0, "approve"], "yes", "messages[0].approvals[0].approve", "must be true or false"],
  [[...approval, 0, "updated_input"], [], "messages[0].approvals[0].updated_input", "must be an object"],
  [[...approval, 0, "updated_input"], "ls", "messages[0].approvals[0].updated_input", "must be an object"],
  [[...approval, 2, "status"], "done", "messages[0].approvals[2].status", 'must be "success" or "error"'],
  [[...approval, 2, "stdout"], "a", "messages[0].approvals[2].stdout", "must be an array"],
  [
    [...approval, 2, "tool_return"],
    4,
    "messages[0].approvals[2].tool_return",
    "must be a string or a list of text parts",
  ],
  [[...approval, 3, "type"], "approval", "messages[0].approvals[3].type", 'must be "tool"'],
];

const wrongRegistrations: readonly Wrong[] = [
  [
    ["deviceId"],
    "..",
    "deviceId",
    "must be 1 to 128 characters from A-Z a-z 0-9 . _ ~ : - but not '.', '..', 'register', 'events', 'approvals', 'runtimes'",
  ],
  [["connectionName"], "", "connectionName", "must not be empty"],
  [["metadata"], [], "metadata", "must be an object"],
  [["metadata", "self_update", "writable"], "no", "metadata.self_update.writable", "must be true or false"],
];

describe("wrong members and their issues", () => {
  const cases = [
    ...wrongUserBodies.map((wrong) => [send, "letta-code-send", ...wrong] as const),
    ...wrongApprovalBodies.map((wrong) => [send, "approval-send", ...wrong] as const),
    ...wrongRegistrations.map((wrong) => [register, "letta-code-register", ...wrong] as const),
  ].map(([schema, fixture, path, value, member, rule]) => ({ schema, fixture, path, value, member, rule }));

  test.each(cases)(
    "the issue of a wrong member names the member and the rule: $fixture, $member $rule",
    ({ schema, fixture, path, value, member, rule }) => {
      const decoded = decodeBody<unknown>(
        schema,
        encode(withMember(readFixture(fixture), path, value)),
        "application/json",
      );
      if (decoded.ok) throw new Error("the body must be refused");
      expect(decoded.response.status).toBe(400);
      expect(issuesOf(decoded.response)).toContainEqual({ member, rule });
    },
  );

  test.each([
    [{ messages: [{ role: "user", content: "hi" }] }, "messages[0].client_message_id"],
    [{ messages: [{ type: "approval" }] }, "messages[0].approvals"],
    [{ messages: [{ approvals: [{ approve: true }] }] }, "messages[0].approvals[0].tool_call_id"],
    [{}, "messages"],
  ])("a missing member is required: %j", (body, member) => {
    const decoded = decodeBody(send, encode(body), "application/json");
    expect(decoded.ok ? [] : issuesOf(decoded.response)).toContainEqual({ member, rule: "is required" });
  });
});

describe("problems and values", () => {
  const secret = "s3cr3t-marker";
  const garbage = fc.oneof(
    fc.string().map((text) => secret + text),
    fc.array(fc.constant(secret), { maxLength: 3 }),
    fc.constant({ type: secret, role: secret, text: secret, approvals: secret, status: secret }),
    fc.constant({ approvals: [{ status: secret, tool_call_id: [secret], tool_return: { secret } }], type: secret }),
  );
  const members = [...wrongUserBodies, ...wrongApprovalBodies].map(([path]) => path);

  test("a problem does not repeat a value of a body", () => {
    let refused = 0;
    fc.assert(
      fc.property(
        fc.constantFrom(...members),
        garbage,
        fc.constantFrom("letta-code-send", "approval-send"),
        (path, value, name) => {
          const fixture = readFixture(name);
          let body: unknown = { messages: value, agentId: value };
          try {
            body = withMember(fixture, path, value);
          } catch {
            // The path belongs to the other fixture. The body with garbage at the top is used instead.
          }
          const decoded = decodeBody(send, encode(body), "application/json");
          if (decoded.ok) return;
          refused += 1;
          expect(String(decoded.response.body)).not.toContain(secret);
        },
      ),
    );
    expect(refused).toBeGreaterThan(50);
  });

  test("a problem does not repeat a value of a query", () => {
    fc.assert(
      fc.property(fc.constantFrom("after", "limit", "onlineOnly", "source", "userId"), fc.string(), (name, text) => {
        const value = `${secret}/${text}${"x".repeat(300)}`;
        const decoded = decodeQuery(list, new URLSearchParams({ [name]: value }).toString());
        if (decoded.ok) throw new Error(`${name} must be refused`);
        expect(issuesOf(decoded.response).map(({ member }) => member)).toContain(name);
        expect(String(decoded.response.body)).not.toContain(secret);
      }),
    );
  });

  test("a problem does not repeat malformed JSON", () => {
    const decoded = decodeBody(send, new TextEncoder().encode(`{"messages": ${secret}`), "application/json");
    expect(decoded.ok ? "" : String(decoded.response.body)).toContain("malformed_json");
    expect(decoded.ok ? secret : String(decoded.response.body)).not.toContain(secret);
  });
});

test("an id with an unpaired surrogate is refused, because stores cannot preserve it", () => {
  const encode = (id: string): Uint8Array =>
    new TextEncoder().encode(`{"agentId":"a","messages":[{"role":"user","content":"x","client_message_id":"${id}"}]}`);
  const refused = decodeBody(SendMessageBodySchema, encode("\\ud800abc"), "application/json");
  expect(!refused.ok && JSON.parse(String(refused.response.body)).errors).toMatchObject([
    { member: "messages[0].client_message_id" },
  ]);
  expect(decodeBody(SendMessageBodySchema, encode("\\ud83d\\ude00"), "application/json").ok).toBe(true);
});
