import { identifierRule } from "@letta-environments/schema";
import { referenceRule } from "@letta-environments/schema/identifier";
import { describe, expect, test } from "vitest";
import {
  assignMessageIds,
  createClient,
  type EnvironmentsResource,
  type ListEnvironmentsInput,
  type SendMessageInput,
} from "../src/index.ts";
import { catchError } from "./catch-error.ts";
import { emptyPage, scriptFetch, sent } from "./scripted-fetch.ts";

const options = { baseUrl: "https://gateway.example/letta/", apiKey: "lek_test" };
const hello: SendMessageInput = { messages: [{ role: "user", content: "hello" }], agentId: "agent-1" };

const approval = { id: "t-1", connectionId: "c-1", deviceId: "d-1", agentId: "agent-1", conversationId: "default" };
const nothing = [] as unknown as [{ approve: boolean }];
/** A value that the types of an argument do not allow. */
const odd = <Value>(value: unknown): Value => value as Value;

const tokenRule =
  "apiKey must be a non-empty string without spaces or control characters (visible ASCII, no quotes or backslashes)";
const baseUrlRule =
  "baseUrl must be an https: URL (http: is allowed for loopback addresses, or with allowInsecure: true) without credentials, query or fragment";
const headersRule = "headers must be a Headers object or an object of valid header names and values";

test.each(["a\nb", "\u00fc\u20ac"])(
  "an idempotency key that cannot be a header value, %j, is refused before any request",
  async (key) => {
    const script = scriptFetch(sent);
    const { environments } = createClient({ ...options, fetch: script.fetch });
    const error = await catchError(environments.sendMessage("conn-1", hello, { idempotencyKey: key }));
    expect([error.code, error.outcome, script.seen.length]).toEqual(["invalid_argument", "refused", 0]);
  },
);

test("a poll interval of 0 is refused, because it would send requests in a tight loop", async () => {
  const script = scriptFetch();
  const { environments } = createClient({ ...options, fetch: script.fetch });
  const error = await catchError(environments.watch({}, { intervalMs: 0 }).next());
  expect([error.code, script.seen.length]).toEqual(["invalid_argument", 0]);
});

test.each<[string, (environments: EnvironmentsResource) => Promise<unknown>, string]>([
  ["no verdict", ({ approvals }) => approvals.decide(approval, ...nothing), "verdict must be an object"],
  [
    "an idempotency key of messages without a user message",
    ({ sendMessage }) =>
      sendMessage(
        "c-1",
        { messages: [{ type: "approval", approvals: [{ approve: true, tool_call_id: "t-1" }] }] },
        { idempotencyKey: true },
      ),
    "idempotencyKey needs a user message",
  ],
  [
    "a verdict without approve",
    ({ approvals }) => approvals.decide(approval, odd({})),
    "approve must be true or false",
  ],
  ["a row id in place of { id }", ({ remove }) => remove("d-1", odd("env-1")), "row must be an object"],
  ["no row", ({ remove }) => remove("d-1", odd(null)), "row must be an object"],
  ["a patch that is not JSON", ({ update }) => update("d-1", odd({ tags: 5n })), "patch must be serialisable as JSON"],
  ["one state", ({ messages }) => messages.list("c-1", { state: odd("failed") }), "state must be a non-empty list"],
  ["no state", ({ messages }) => messages.list("c-1", { state: odd(null) }), "state must be a non-empty list"],
  ["none of the states", ({ messages }) => messages.list("c-1", { state: [] }), "state must be a non-empty list"],
  ["none of the agents", ({ messages }) => messages.list("c-1", { agentId: [] }), "agentId must not be an empty list"],
  ["a misspelt run", ({ stop }) => stop("d-1", odd({ agentId: "a", runID: "r" })), "runID is not a known member"],
  [
    "a run that a command does not take",
    ({ resumeQueue }) => resumeQueue("d-1", odd({ agentId: "a", runId: "r" })),
    "runId is not a known member",
  ],
  [
    "a conversation that is not JSON",
    ({ stop }) => stop("d-1", odd({ agentId: 5n })),
    "conversation must be serialisable as JSON",
  ],
  ["a query", ({ messages }) => messages.retrieve("c-1", "m-1", odd("agent-1")), "query must be an object"],
  ["a conversation", ({ messages }) => messages.wait("c-1", "m-1", odd("agent-1")), "conversation must be an object"],
  [
    "an empty idempotency key",
    ({ sendMessage }) => sendMessage("c-1", hello, { idempotencyKey: "" }),
    "idempotencyKey must be a non-empty string",
  ],
])("%s is refused with an explanation before any request, as a rejected promise", async (_case, call, message) => {
  const script = scriptFetch();
  const error = await catchError(call(createClient({ ...options, fetch: script.fetch }).environments));
  expect(error).toMatchObject({ code: "invalid_argument", message: expect.stringContaining(message) });
  expect(script.seen).toEqual([]);
});

test.each([null, {}, { messages: "hello" }])("assignMessageIds refuses %j with an explanation", (body) => {
  expect(() => assignMessageIds(odd(body))).toThrow(/^(body must be an object|messages must be a non-empty list)$/);
});

test("a call's header with a line break is refused before any request", async () => {
  const script = scriptFetch(emptyPage);
  const { environments } = createClient({ ...options, fetch: script.fetch });
  const error = await catchError(environments.list({}, { headers: { "x-note": "a\r\nb" } }));
  expect(error).toMatchObject({ code: "invalid_argument", message: headersRule });
  expect(script.seen).toEqual([]);
});

describe("arguments that break a rule", () => {
  const script = scriptFetch(emptyPage);
  const { environments } = createClient({ ...options, fetch: script.fetch });

  test.each([null, undefined, "", ".", "..", "../agents", "a/b", "a%2Fb", "a b", "register", "é", 5])(
    "the id %j is refused with an explanation before any request",
    async (id) => {
      const retrieve = await catchError(environments.retrieve(id as string));
      const send = await catchError(environments.sendMessage(id as string, hello));
      expect(retrieve).toMatchObject({ code: "invalid_argument", issues: [{ member: "deviceId" }] });
      expect(send).toMatchObject({
        code: "invalid_argument",
        issues: [{ member: "connectionId" }],
        outcome: "refused",
      });
      expect(send.clientMessageIds).toHaveLength(1);
      expect(script.seen).toEqual([]);
    },
  );

  test.each<[unknown, string]>([
    [{ limit: 0 }, "limit must be an integer from 1 to 100"],
    [{ limit: 1.5 }, "limit must be an integer from 1 to 100"],
    [{ limit: Number.NaN }, "limit must be an integer from 1 to 100"],
    [{ limit: [5] }, "limit must be an integer from 1 to 100"],
    [{ onlineOnly: "yes" }, "onlineOnly must be true or false"],
    [{ onlineOnly: 1 }, "onlineOnly must be true or false"],
    [{ source: "both" }, 'source must be "local" or "remote"'],
    [{ source: null }, 'source must be "local" or "remote"'],
    [{ after: new Date(0) }, `after must be ${identifierRule}`],
    [{ after: "../x" }, `after must be ${identifierRule}`],
    [{ userId: "" }, "userId must be a non-empty string"],
    [{ userId: 5 }, "userId must be a non-empty string"],
    [{ future: {} }, "future must be a non-empty string"],
    ["my-box", "query must be an object"],
    [["my-box"], "query must be an object"],
    [5, "query must be an object"],
  ])("the query %j is refused with an explanation before any request", async (query, message) => {
    const error = await catchError(environments.list(query as ListEnvironmentsInput));
    expect(error).toMatchObject({ code: "invalid_argument", message });
    await expect(environments.listAll(query as ListEnvironmentsInput).next()).rejects.toMatchObject({
      code: "invalid_argument",
    });
    expect(script.seen).toEqual([]);
  });

  test.each<[unknown, string]>([
    [null, "body must be an object"],
    ["text", "body must be an object"],
    [[], "body must be an object"],
    [undefined, "body must be an object"],
    [{}, "messages must be a non-empty list"],
    [{ messages: [] }, "messages must be a non-empty list"],
    [{ messages: "hello" }, "messages must be a non-empty list"],
    [{ messages: [null] }, 'messages[0].role must be "user"'],
    [{ messages: ["hello"] }, 'messages[0].role must be "user"'],
    [
      { messages: [{ role: "user", content: "" }] },
      "messages[0].content must be a non-empty string or a list of text parts",
    ],
    [
      { messages: [{ role: "user", content: 5 }] },
      "messages[0].content must be a non-empty string or a list of text parts",
    ],
    [
      { messages: [{ role: "user", content: {} }] },
      "messages[0].content must be a non-empty string or a list of text parts",
    ],
    [{ messages: [{ role: "user" }] }, "messages[0].content must be a non-empty string or a list of text parts"],
    [{ messages: [{ role: "system", content: "x" }] }, 'messages[0].role must be "user"'],
    [
      { messages: [{ role: "user", content: "x", client_message_id: 5 }] },
      `messages[0].client_message_id must be ${referenceRule}`,
    ],
    [{ messages: [{ role: "user", content: "x", otid: "" }] }, "messages[0].otid must be a non-empty string"],
    [{ messages: [{ type: "approval", approvals: [] }] }, "messages[0].approvals must be a non-empty list"],
    [{ messages: [{ type: "approval", approvals: null }] }, "messages[0].approvals must be a non-empty list"],
    [
      { messages: [{ type: "approval", approvals: [{ approve: "yes", tool_call_id: "t" }] }] },
      "messages[0].approvals[0].approve must be true or false",
    ],
    [
      { messages: [{ type: "approval", approvals: [{ approve: true, tool_call_id: "t" }, { approve: true }] }] },
      "messages[0].approvals[1].tool_call_id must be a non-empty string",
    ],
    [{ ...hello, agentId: 5 }, "agentId must be a non-empty string"],
    [{ ...hello, agentId: null }, "agentId must be a non-empty string"],
    [{ ...hello, agentId: "" }, "agentId must be a non-empty string"],
    [{ ...hello, conversationId: 5 }, "conversationId must be a string or null"],
    [{ messages: [{ role: "user", content: "x".repeat(1_048_576) }] }, "body must be at most 1 MiB"],
    [{ messages: [{ role: "user", content: "é".repeat(524_288) }] }, "body must be at most 1 MiB"],
    [{ messages: [{ role: "user", content: "€".repeat(349_526) }] }, "body must be at most 1 MiB"],
    [{ messages: [{ role: "user", content: 5n }] }, "body must be serialisable as JSON"],
    [{ messages: [{ role: "user", content: [] }] }, "messages[0].content must be a non-empty list"],
    [{ messages: [{ role: "user", content: ["x"] }] }, "messages[0].content[0] must be an object"],
  ])("the body %# is refused with an explanation before any request", async (body, message) => {
    const error = await catchError(environments.sendMessage("c-1", body as SendMessageInput));
    expect(error).toMatchObject({ code: "invalid_argument", message, retryable: false });
    expect(script.seen).toEqual([]);
  });

  test.each<[string, () => unknown, string]>([
    [
      "has no message ids",
      () => ({ messages: hello.messages }),
      `messages[0].client_message_id must be ${referenceRule}`,
    ],
    ["is undefined", () => undefined, "body must be serialisable as JSON"],
    ["has no messages", () => ({}), "messages must be a non-empty list"],
  ])("a body whose JSON %s is refused with an explanation before any request", async (_case, toJSON, message) => {
    const error = await catchError(environments.sendMessage("c-1", { ...hello, toJSON } as SendMessageInput));
    expect(error).toMatchObject({ code: "invalid_argument", message });
    expect(script.seen).toEqual([]);
  });

  test("an invalid argument of a send has the outcome refused, because nothing was sent", async () => {
    const wrong = { messages: [] };
    for (const call of [
      environments.sendMessage("c-1", wrong),
      environments.sendMessage("", hello),
      environments.sendMessage("c-1", hello, { idempotencyKey: "a b" }),
      environments.sendToDevice("d-1", wrong),
      environments.sendToDevice("d-1", hello, { wait: "started" as "finished" }),
      environments.sendToDevice("d-1", hello, { intervalMs: 0 }),
    ])
      expect(await catchError(call)).toMatchObject({ code: "invalid_argument", outcome: "refused" });
  });

  test.each([".", ".."])("the message id %s is refused, because its status could not be retrieved", async (id) => {
    const body = { agentId: "a", messages: [{ role: "user" as const, content: "x", client_message_id: id }] };
    const error = await catchError(environments.sendMessage("c-1", body));
    expect(error).toMatchObject({ code: "invalid_argument", issues: [{ member: "messages[0].client_message_id" }] });
  });

  test("an empty message id is refused, and not replaced by a generated one", async () => {
    const messages = [{ role: "user" as const, content: "hello", client_message_id: "" }];
    const error = await catchError(environments.sendMessage("c-1", { messages }));
    expect(error).toMatchObject({ code: "invalid_argument", issues: [{ member: "messages[0].client_message_id" }] });
    expect(script.seen).toEqual([]);
  });

  const circle: unknown[] = [];
  circle.push(circle);
  test.each<[string, unknown]>([
    ["a bigint", 5n],
    ["a circular list", circle],
    ["a symbol", Symbol("x")],
    ["a function", () => 5],
  ])("a value that JSON cannot represent is refused as query, id or option: %s", async (_case, odd) => {
    const { limit, deviceId, timeoutMs } = { limit: odd, deviceId: odd, timeoutMs: odd } as unknown as Record<
      string,
      never
    >;
    expect(await catchError(environments.list({ limit }))).toMatchObject({ code: "invalid_argument" });
    expect(await catchError(environments.list({}, { timeoutMs }))).toMatchObject({ code: "invalid_argument" });
    expect(await catchError(environments.retrieve(deviceId as never))).toMatchObject({ code: "invalid_argument" });
    expect(() => createClient({ ...options, timeoutMs })).toThrow("timeoutMs must be an integer");
    expect(script.seen).toEqual([]);
  });

  const noEvents = { aborted: false };
  test.each([{}, new AbortController(), new EventTarget(), noEvents, { ...noEvents, aborted: true }, "abort", true])(
    "a signal that is not an AbortSignal is refused: %j",
    async (odd) => {
      const signal = odd as unknown as AbortSignal;
      const calls = [
        environments.list({}, { signal }),
        environments.retrieve("d-1", { signal }),
        environments.sendMessage("c-1", hello, { signal }),
        environments.sendToDevice("d-1", hello, { signal }),
        environments.approve("d-1", "call-1", { agentId: "agent-1" }, { signal }),
        environments.listAll({}, { signal }).next(),
        environments.watch({}, { signal }).next(),
      ];
      for (const error of await Promise.all(calls.map((call) => catchError(call))))
        expect(error).toMatchObject({ code: "invalid_argument", message: "signal must be an AbortSignal" });
      expect(script.seen).toEqual([]);
    },
  );

  test.each([null, 5, "fast", []])("options that are not an object are refused: %j", async (odd) => {
    const wrong = odd as object;
    const calls = [
      environments.list({}, wrong),
      environments.retrieve("d-1", wrong),
      environments.sendMessage("c-1", hello, wrong),
      environments.sendToDevice("d-1", hello, wrong),
      environments.deny("d-1", "call-1", { agentId: "agent-1" }, wrong),
      environments.listPages({}, wrong).next(),
      environments.watch({}, wrong).next(),
    ];
    for (const error of await Promise.all(calls.map((call) => catchError(call))))
      expect(error).toMatchObject({ code: "invalid_argument", message: "options must be an object" });
    expect(script.seen).toEqual([]);
  });

  test.each([undefined, null, "https://gateway.example", []])("a client whose options are %j is refused", (wrong) => {
    const create = createClient as (options: unknown) => unknown;
    expect(() => create(wrong)).toThrow(
      expect.objectContaining({
        name: "LettaEnvironmentsError",
        code: "invalid_argument",
        message: "options must be an object",
      }),
    );
  });

  test.each<[unknown, string]>([
    [null, "device must be a deviceId, { deviceId }, { name } or a function"],
    [{}, "device must be a deviceId, { deviceId }, { name } or a function"],
    [{ name: "" }, "device.name must be a non-empty string"],
    [{ deviceId: "a/b" }, `deviceId must be ${identifierRule}`],
  ])("the device selector %j is refused with an explanation before any request", async (device, message) => {
    const error = await catchError(environments.sendToDevice(device as string, hello));
    expect(error).toMatchObject({ code: "invalid_argument", message, outcome: "refused" });
    expect(script.seen).toEqual([]);
  });

  test("an error never contains the value that breaks a rule", () => {
    for (const wrong of [{ apiKey: "s3cr3t value" }, { baseUrl: "https://u:s3cr3t@gateway.example" }])
      expect(() => createClient({ ...options, ...wrong })).toThrow(
        expect.objectContaining({ message: expect.not.stringContaining("s3cr3t") }),
      );
  });

  test.each<[object, string]>([
    [{ baseUrl: "gateway.example" }, baseUrlRule],
    [{ baseUrl: "/v1" }, baseUrlRule],
    [{ baseUrl: "ftp://gateway.example" }, baseUrlRule],
    [{ baseUrl: "https://gateway.example?x=1" }, baseUrlRule],
    [{ baseUrl: "https://gateway.example?" }, baseUrlRule],
    [{ baseUrl: "https://gateway.example/#top" }, baseUrlRule],
    [{ baseUrl: "https://a b" }, baseUrlRule],
    [{ baseUrl: new URL("https://gateway.example") }, baseUrlRule],
    [{ baseUrl: 5 }, baseUrlRule],
    [{ baseUrl: "https:///" }, baseUrlRule],
    [{ baseUrl: "https://a:99999" }, baseUrlRule],
    [{ baseUrl: "https://key@gateway.example" }, baseUrlRule],
    [{ baseUrl: "https://:key@gateway.example" }, baseUrlRule],
    [{ baseUrl: "http://gateway.example" }, baseUrlRule],
    [{ baseUrl: "http://127.0.0.1.example" }, baseUrlRule],
    [{ baseUrl: "http://localhost.example" }, baseUrlRule],
    [{ baseUrl: "http://10.0.0.1" }, baseUrlRule],
    [{ baseUrl: undefined }, baseUrlRule],
    [{ allowInsecure: "yes" }, "allowInsecure must be true or false"],
    [{ validate: "strict" }, 'validate must be "report", "throw" or "off"'],
    [{ fetch: {} }, "fetch must be a function"],
    [{ onEvent: "log" }, "onEvent must be a function"],
    [{ onDrift: null }, "onDrift must be a function"],
    [{ middleware: ["log"] }, "middleware must be a function"],
    [{ headers: { "x y": "1" } }, headersRule],
    [{ headers: { "x-note": "a\nb" } }, headersRule],
    [{ headers: null }, headersRule],
    [{ headers: "x-note: 1" }, headersRule],
    [{ apiKey: "" }, tokenRule],
    [{ apiKey: "s3cr3t\r\nx: y" }, tokenRule],
    [{ apiKey: undefined }, tokenRule],
    [{ apiKey: 5 }, tokenRule],
    [{ timeoutMs: "300" }, "timeoutMs must be an integer from 1 to 999999999"],
    [{ timeoutMs: -1 }, "timeoutMs must be an integer from 1 to 999999999"],
    [{ timeoutMs: Number.POSITIVE_INFINITY }, "timeoutMs must be an integer from 1 to 999999999"],
    [{ timeoutMs: 0 }, "timeoutMs must be an integer from 1 to 999999999"],
    [{ timeoutMs: null }, "timeoutMs must be an integer from 1 to 999999999"],
    [{ maxRetries: 0.5 }, "maxRetries must be an integer from 0 to 9"],
    [{ maxRetries: 11 }, "maxRetries must be an integer from 0 to 9"],
    [{ maxResponseBytes: 0.5 }, "maxResponseBytes must be an integer from 1 to 999999999"],
  ])("the client option %j is refused", (wrong, message) => {
    expect(() => createClient({ ...options, ...wrong })).toThrow(message);
  });

  test("an invalid time limit or number of retries of a call is refused", async () => {
    const error = await catchError(environments.list({}, { timeoutMs: Number.NaN }));
    expect(error).toMatchObject({ code: "invalid_argument", issues: [{ member: "timeoutMs" }] });
    const send = await catchError(environments.sendMessage("c-1", hello, { maxRetries: 11 }));
    expect(send).toMatchObject({ code: "invalid_argument", outcome: "refused", issues: [{ member: "maxRetries" }] });
    expect(script.seen).toEqual([]);
  });
});
