import { describe, expect, test } from "vitest";
import {
  createClient,
  createTransport,
  listEnvironments,
  type ListEnvironmentsInput,
  type SendMessageInput,
} from "../src/index.ts";
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

describe("requests of the client", () => {
  test("a request has the client's key, whatever authorization header the caller sets, and the call's header over the client's", async () => {
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

  test("a list request encodes numbers and booleans as strings and sends only two headers", async () => {
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
  ])("a list request with the query %j has the search %j", async (query, search) => {
    const script = scriptFetch(emptyPage);
    await listEnvironments(createTransport({ ...options, fetch: script.fetch }), query);
    expect(script.seen[0]?.url).toBe(`https://gateway.example/letta/v1/environments${search}`);
  });

  test("a retrieve request has the id in its path", async () => {
    const script = scriptFetch(json(200, row));
    const environment = await createClient({ ...options, fetch: script.fetch }).environments.retrieve("desktop:1");
    expect(environment).toEqual(row);
    expect(script.seen[0]?.url).toBe("https://gateway.example/letta/v1/environments/desktop:1");
  });

  test("a send has a generated message id, which the result returns", async () => {
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

  test("a send has the content type JSON, whatever the call's headers say", async () => {
    const script = scriptFetch(sent);
    const headers = { "Content-Type": "text/plain" };
    await createClient({ ...options, fetch: script.fetch }).environments.sendMessage("c-1", hello, { headers });
    expect(script.seen[0]?.init.headers).toMatchObject({ "content-type": "application/json" });
  });

  test("a send keeps the caller's message id and every member of a tool's input", async () => {
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

test.each([
  ["http://127.0.0.1:8787", {}],
  ["http://127.1.2.3", {}],
  ["http://localhost:8787/letta/", {}],
  ["http://[::1]:8787", {}],
  ["http://gateway.example:8787", { allowInsecure: true }],
  ["https://gateway.example", {}],
])("the base URL %s is accepted with the options %j", async (baseUrl, more) => {
  const script = scriptFetch(emptyPage);
  await createClient({ ...options, ...more, baseUrl, fetch: script.fetch }).environments.list();
  expect(script.seen[0]?.url).toBe(`${baseUrl.replace(/\/$/, "")}/v1/environments`);
});

test("a Headers object is accepted for a client and for a call, and the call's header wins", async () => {
  const script = scriptFetch(emptyPage);
  const headers = new Headers({ "X-Project": "a", "X-Trace": "client" });
  const { environments } = createClient({ ...options, headers, fetch: script.fetch });
  await environments.list({}, { headers: new Headers({ "X-Trace": "call" }) });
  expect(script.seen[0]?.init.headers).toEqual({
    accept: "application/json",
    authorization: "Bearer lek_test",
    "x-project": "a",
    "x-trace": "call",
  });
});

test("a header that is undefined or null is not sent, and the client's header is used", async () => {
  const script = scriptFetch(emptyPage);
  const headers = { "x-trace": "client", "x-note": undefined };
  const { environments } = createClient({ baseUrl: "http://127.0.0.1:1", apiKey: "k", fetch: script.fetch, headers });
  await environments.list({}, { headers: { "x-trace": undefined, "x-other": null, "x-kept": "1" } });
  const sent = new Headers(script.seen[0]?.init.headers);
  expect([...sent.keys()].filter((name) => name.startsWith("x-"))).toEqual(["x-kept", "x-trace"]);
  expect(sent.get("x-trace")).toBe("client");
});
