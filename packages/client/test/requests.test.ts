import { describe, expect, test } from "vitest";
import {
  createClient,
  createTransport,
  listEnvironments,
  type ListEnvironmentsInput,
  type SendMessageInput,
} from "../src/index.ts";
import { catchError } from "./catch-error.ts";
import { emptyPage, json, scriptFetch, sent } from "./scripted-fetch.ts";

const row = {
  id: "env-1",
  connectedAt: null,
  connectionId: null,
  connectionName: "box",
  deviceId: "d-1",
  firstSeenAt: 1,
  lastHeartbeat: null,
  lastSeenAt: 2,
  organizationId: "org",
  podId: null,
  currentMode: "plan",
  future: { kept: true },
};

const options = { baseUrl: "https://gateway.example/letta/", apiKey: "lek_test" };
const hello: SendMessageInput = { messages: [{ role: "user", content: "hello" }], agentId: "agent-1" };

test.each(["a\nb", "\u00fc\u20ac"])(
  "an idempotency key that no header can hold, %j, is refused before the wire",
  async (key) => {
    const script = scriptFetch(sent);
    const { environments } = createClient({ ...options, fetch: script.fetch });
    const error = await catchError(environments.sendMessage("conn-1", hello, { idempotencyKey: key }));
    expect([error.code, error.outcome, script.seen.length]).toEqual(["invalid_argument", undefined, 0]);
  },
);

test("a pause of nothing between two looks is refused: it would ask without end", async () => {
  const script = scriptFetch();
  const { environments } = createClient({ ...options, fetch: script.fetch });
  const error = await catchError(environments.watch({}, { intervalMs: 0 }).next());
  expect([error.code, script.seen.length]).toEqual(["invalid_argument", 0]);
});

describe("what is sent", () => {
  test("the client's key, whatever a caller's own fields say in whatever case, and a caller's later field", async () => {
    const script = scriptFetch(json(200, { connections: [], hasNextPage: false }));
    const headers = { Authorization: "Bearer other", "X-Trace": "client" };
    const { environments } = createClient({ ...options, headers, fetch: script.fetch });
    await environments.list({}, { headers: { "x-trace": "call" } });
    expect(script.seen[0]?.init.headers).toEqual({
      accept: "application/json",
      authorization: "Bearer lek_test",
      "x-trace": "call",
    });
  });

  test("a list: numbers and booleans as strings, no other header than the two", async () => {
    const script = scriptFetch(json(200, { connections: [row], hasNextPage: true }));
    const page = await createClient({ ...options, fetch: script.fetch }).environments.list({
      limit: 5,
      onlineOnly: false,
      after: "env-0",
      source: undefined,
    });
    expect(page).toEqual({ connections: [row], hasNextPage: true });
    const [request] = script.seen;
    expect(request?.url).toBe("https://gateway.example/letta/v1/environments?limit=5&onlineOnly=false&after=env-0");
    expect(request?.init).toMatchObject({
      method: "GET",
      headers: { accept: "application/json", authorization: "Bearer lek_test" },
      redirect: "manual",
      signal: expect.any(AbortSignal),
    });
  });

  test.each<[ListEnvironmentsInput | null | undefined, string]>([
    [undefined, ""],
    [null, ""],
    [{}, ""],
    [{ limit: "5", onlineOnly: "true" }, "?limit=5&onlineOnly=true"],
    [{ userId: "a b" }, "?userId=a+b"],
  ])("the query %j is %j", async (query, search) => {
    const script = scriptFetch(emptyPage);
    await listEnvironments(createTransport({ ...options, fetch: script.fetch }), query);
    expect(script.seen[0]?.url).toBe(`https://gateway.example/letta/v1/environments${search}`);
  });

  test("a retrieve", async () => {
    const script = scriptFetch(json(200, row));
    const environment = await createClient({ ...options, fetch: script.fetch }).environments.retrieve("desktop:1");
    expect(environment).toEqual(row);
    expect(script.seen[0]?.url).toBe("https://gateway.example/letta/v1/environments/desktop:1");
  });

  test("a send, with an id that the result gives back", async () => {
    const script = scriptFetch(sent);
    const result = await createClient({ ...options, fetch: script.fetch }).environments.sendMessage("c-1", hello);
    const [request] = script.seen;
    const [clientMessageId] = result.clientMessageIds;
    expect(result).toEqual({
      success: true,
      message: "Message sent",
      outcome: "accepted",
      clientMessageIds: [expect.any(String)],
      otids: [clientMessageId],
    });
    expect(request?.url).toBe("https://gateway.example/letta/v1/environments/c-1/messages");
    expect(request?.init).toMatchObject({
      method: "POST",
      headers: { accept: "application/json", authorization: "Bearer lek_test", "content-type": "application/json" },
    });
    expect(JSON.parse(request?.body ?? "")).toEqual({
      messages: [{ role: "user", content: "hello", client_message_id: clientMessageId, otid: clientMessageId }],
      agentId: "agent-1",
    });
  });

  test("a send's own type of content, whatever a call's header fields say", async () => {
    const script = scriptFetch(sent);
    const headers = { "Content-Type": "text/plain" };
    await createClient({ ...options, fetch: script.fetch }).environments.sendMessage("c-1", hello, { headers });
    expect(script.seen[0]?.init.headers).toMatchObject({ "content-type": "application/json" });
  });

  test("a send keeps the caller's id and every member of a tool's input", async () => {
    const script = scriptFetch(sent);
    const body: SendMessageInput = {
      messages: [
        { role: "user", content: [{ type: "text", text: "hi" }], client_message_id: "mine", otid: "other" },
        { type: "approval", approvals: [{ approve: true, tool_call_id: "t", updated_input: { constructor: "kept" } }] },
      ],
      conversationId: null,
    };
    const result = await createClient({ ...options, fetch: script.fetch }).environments.sendMessage("c-1", body);
    expect(result.clientMessageIds).toEqual(["mine"]);
    expect(JSON.parse(script.seen[0]?.body ?? "")).toEqual(body);
  });
});

describe("what breaks a rule makes no request", () => {
  const script = scriptFetch(emptyPage);
  const { environments } = createClient({ ...options, fetch: script.fetch });

  test.each([null, undefined, "", ".", "..", "../agents", "a/b", "a%2Fb", "a b", "register", "é", 5])(
    "the id %j",
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
    [{ limit: 0 }, 'limit must match /^"?([1-9]\\d?|100)$/'],
    [{ limit: 1.5 }, 'limit must match /^"?([1-9]\\d?|100)$/'],
    [{ limit: Number.NaN }, 'limit must match /^"?([1-9]\\d?|100)$/'],
    [{ limit: [5] }, 'limit must match /^"?([1-9]\\d?|100)$/'],
    [{ onlineOnly: "yes" }, 'onlineOnly must match /^"?(true|false)$/'],
    [{ onlineOnly: 1 }, 'onlineOnly must match /^"?(true|false)$/'],
    [{ source: "both" }, 'source must match /^"(local|remote)$/'],
    [{ source: null }, 'source must match /^"(local|remote)$/'],
    [{ after: new Date(0) }, 'after must match /^"(?!(\\.\\.?|register|events|runtimes)$)[\\w.~:-]{1,128}$/'],
    [{ after: "../x" }, 'after must match /^"(?!(\\.\\.?|register|events|runtimes)$)[\\w.~:-]{1,128}$/'],
    [{ userId: "" }, 'userId must match /^"[^]/'],
    [{ userId: 5 }, 'userId must match /^"[^]/'],
    [{ future: {} }, 'future must match /^"[^]/'],
    ["my-box", "0 must match /^$/"],
    [["my-box"], "0 must match /^$/"],
  ])("the query %j", async (query, message) => {
    const error = await catchError(environments.list(query as ListEnvironmentsInput));
    expect(error).toMatchObject({ code: "invalid_argument", message });
    await expect(environments.listAll(query as ListEnvironmentsInput).next()).rejects.toMatchObject({
      code: "invalid_argument",
    });
    expect(script.seen).toEqual([]);
  });

  test.each<[unknown, string]>([
    [null, "body must be JSON with messages"],
    ["text", "body must be JSON with messages"],
    [[], "body must be JSON with messages"],
    [undefined, "body must be JSON with messages"],
    [{}, "body must be JSON with messages"],
    [{ messages: [] }, "messages must match /^\\[\\{/"],
    [{ messages: "hello" }, "body must be JSON with messages"],
    [{ messages: [null] }, 'messages[0].role must match /^"user$/'],
    [{ messages: ["hello"] }, 'messages[0].role must match /^"user$/'],
    [{ messages: [{ role: "user", content: "" }] }, 'messages[0].content must match /^("[^]|\\[\\{)/'],
    [{ messages: [{ role: "user", content: 5 }] }, 'messages[0].content must match /^("[^]|\\[\\{)/'],
    [{ messages: [{ role: "user", content: {} }] }, 'messages[0].content must match /^("[^]|\\[\\{)/'],
    [{ messages: [{ role: "user" }] }, 'messages[0].content must match /^("[^]|\\[\\{)/'],
    [{ messages: [{ role: "system", content: "x" }] }, 'messages[0].role must match /^"user$/'],
    [
      { messages: [{ role: "user", content: "x", client_message_id: 5 }] },
      'messages[0].client_message_id must match /^"[^]/',
    ],
    [{ messages: [{ role: "user", content: "x", otid: "" }] }, 'messages[0].otid must match /^"[^]/'],
    [{ messages: [{ type: "approval", approvals: [] }] }, "messages[0].approvals must match /^\\[\\{/"],
    [{ messages: [{ type: "approval", approvals: null }] }, "messages[0].approvals must match /^\\[\\{/"],
    [
      { messages: [{ type: "approval", approvals: [{ approve: "yes", tool_call_id: "t" }] }] },
      "messages[0].approvals[0].approve must match /^(true|false|undefined)/",
    ],
    [
      { messages: [{ type: "approval", approvals: [{ approve: true, tool_call_id: "t" }, { approve: true }] }] },
      'messages[0].approvals[1].tool_call_id must match /^"[^]/',
    ],
    [{ ...hello, agentId: 5 }, 'agentId must match /^("[^]|undefined)/'],
    [{ ...hello, agentId: null }, 'agentId must match /^("[^]|undefined)/'],
    [{ ...hello, agentId: "" }, 'agentId must match /^("[^]|undefined)/'],
    [{ ...hello, conversationId: 5 }, 'conversationId must match /^("|null|undefined)/'],
    [{ messages: [{ role: "user", content: "x".repeat(1_048_576) }] }, "body must be at most 1 MiB"],
    [{ messages: [{ role: "user", content: "é".repeat(524_288) }] }, "body must be at most 1 MiB"],
    [{ messages: [{ role: "user", content: "€".repeat(349_526) }] }, "body must be at most 1 MiB"],
    [{ messages: [{ role: "user", content: 5n }] }, "body must be JSON with messages"],
  ])("the body %#", async (body, message) => {
    const error = await catchError(environments.sendMessage("c-1", body as SendMessageInput));
    expect(error).toMatchObject({ code: "invalid_argument", message, retryable: false });
    expect(script.seen).toEqual([]);
  });

  test.each<[string, () => unknown, string]>([
    ["leaves ids out", () => ({ messages: hello.messages }), 'messages[0].client_message_id must match /^"[^]/'],
    ["is nothing", () => undefined, "body must be JSON with messages"],
    ["has no messages", () => ({}), "messages must match /^\\[\\{/"],
  ])("a body whose JSON %s", async (_case, toJSON, message) => {
    const error = await catchError(environments.sendMessage("c-1", { ...hello, toJSON } as SendMessageInput));
    expect(error).toMatchObject({ code: "invalid_argument", message });
    expect(script.seen).toEqual([]);
  });

  test("an empty message id, which is not replaced by another one", async () => {
    const messages = [{ role: "user" as const, content: "hello", client_message_id: "" }];
    const error = await catchError(environments.sendMessage("c-1", { messages }));
    expect(error).toMatchObject({ code: "invalid_argument", issues: [{ member: "messages[0].client_message_id" }] });
    expect(script.seen).toEqual([]);
  });

  const circle: unknown[] = [];
  circle.push(circle);
  test.each<[string, unknown]>([
    ["a bigint", 5n],
    ["a list that holds itself", circle],
    ["a symbol", Symbol("x")],
    ["a function", () => 5],
  ])("%s, which has no JSON, wherever it stands", async (_case, odd) => {
    const { limit, deviceId, timeoutMs } = { limit: odd, deviceId: odd, timeoutMs: odd } as unknown as Record<
      string,
      never
    >;
    expect(await catchError(environments.list({ limit }))).toMatchObject({ code: "invalid_argument" });
    expect(await catchError(environments.list({}, { timeoutMs }))).toMatchObject({ code: "invalid_argument" });
    expect(await catchError(environments.retrieve(deviceId as never))).toMatchObject({ code: "invalid_argument" });
    expect(() => createClient({ ...options, timeoutMs })).toThrow("timeoutMs must match");
    expect(script.seen).toEqual([]);
  });

  test("what is no signal", async () => {
    const signal = new AbortController() as unknown as AbortSignal;
    await expect(environments.sendMessage("c-1", hello, { signal })).rejects.toThrow("addEventListener");
    expect(script.seen).toEqual([]);
  });

  test.each<[object, string]>([
    [{ baseUrl: "gateway.example" }, 'baseUrl must match /^"https?:\\/\\/[^@?#]+$/i'],
    [{ baseUrl: "/v1" }, 'baseUrl must match /^"https?:\\/\\/[^@?#]+$/i'],
    [{ baseUrl: "ftp://gateway.example" }, 'baseUrl must match /^"https?:\\/\\/[^@?#]+$/i'],
    [{ baseUrl: "https://gateway.example?x=1" }, 'baseUrl must match /^"https?:\\/\\/[^@?#]+$/i'],
    [{ baseUrl: "https://a b" }, 'baseUrl must match /^"https?:\\/\\/[^@?#]+$/i'],
    [{ baseUrl: new URL("https://gateway.example") }, 'baseUrl must match /^"https?:\\/\\/[^@?#]+$/i'],
    [{ baseUrl: 5 }, 'baseUrl must match /^"https?:\\/\\/[^@?#]+$/i'],
    [{ baseUrl: "https:///" }, 'baseUrl must match /^"https?:\\/\\/[^@?#]+$/i'],
    [{ baseUrl: "https://a:99999" }, 'baseUrl must match /^"https?:\\/\\/[^@?#]+$/i'],
    [{ baseUrl: "https://key@gateway.example" }, 'baseUrl must match /^"https?:\\/\\/[^@?#]+$/i'],
    [{ apiKey: "" }, 'apiKey must match /^"[!#-[\\]-~]+$/'],
    [{ apiKey: "s3cr3t\r\nx: y" }, 'apiKey must match /^"[!#-[\\]-~]+$/'],
    [{ apiKey: undefined }, 'apiKey must match /^"[!#-[\\]-~]+$/'],
    [{ apiKey: 5 }, 'apiKey must match /^"[!#-[\\]-~]+$/'],
    [{ timeoutMs: "300" }, "timeoutMs must match /^[1-9]\\d{0,8}$/"],
    [{ timeoutMs: -1 }, "timeoutMs must match /^[1-9]\\d{0,8}$/"],
    [{ timeoutMs: Number.POSITIVE_INFINITY }, "timeoutMs must match /^[1-9]\\d{0,8}$/"],
    [{ timeoutMs: 0 }, "timeoutMs must match /^[1-9]\\d{0,8}$/"],
    [{ timeoutMs: null }, "timeoutMs must match /^[1-9]\\d{0,8}$/"],
    [{ maxRetries: 0.5 }, "maxRetries must match /^\\d$/"],
    [{ maxRetries: 11 }, "maxRetries must match /^\\d$/"],
    [{ maxResponseBytes: 0.5 }, "maxResponseBytes must match /^[1-9]\\d{0,8}$/"],
  ])("the client option %j", (wrong, message) => {
    expect(() => createClient({ ...options, ...wrong })).toThrow(message);
  });

  test("a call's option", async () => {
    const error = await catchError(environments.list({}, { timeoutMs: Number.NaN }));
    expect(error).toMatchObject({ code: "invalid_argument", issues: [{ member: "timeoutMs" }] });
    const send = await catchError(environments.sendMessage("c-1", hello, { maxRetries: 11 }));
    expect(send).toMatchObject({ code: "invalid_argument", outcome: "refused", issues: [{ member: "maxRetries" }] });
    expect(script.seen).toEqual([]);
  });
});
