import { jsonResponse, type PlainResponse } from "@letta-environments/schema";
import { createVirtualClock } from "@letta-environments/testkit";
import { describe, expect, test } from "vitest";
import { emptyEmbeddedUpstream } from "../test/support/embedded-upstream.ts";
import { environmentRow } from "../test/support/environment-row.ts";
import { type FakeRequest, fakeRequest } from "../test/support/fake-request.ts";
import { knownConnections } from "../test/support/known-connections.ts";
import { bodyOf, createTestProxy, emptyUpstream, problemOf, type TestProxy } from "../test/support/test-proxy.ts";

const message = { role: "user", content: "hello", client_message_id: "m1" };
const sendBody = JSON.stringify({ agentId: "a1", messages: [message] });

async function send(testProxy: TestProxy, request: FakeRequest = {}): Promise<PlainResponse> {
  const { key } = await testProxy.issueKey();
  return testProxy.proxy.handle(
    fakeRequest({
      method: "POST",
      path: "/v1/environments/conn-1/messages",
      key,
      headers: { "content-type": "application/json" },
      body: sendBody,
      ...request,
    }),
  );
}

async function get(testProxy: TestProxy, request: FakeRequest): Promise<PlainResponse> {
  const { key } = await testProxy.issueKey();
  return testProxy.proxy.handle(fakeRequest({ key, ...request }));
}

/** The value of the body that reaches the upstream; its text is exactly the JSON of that value. */
async function forwardedBody(body: string): Promise<unknown> {
  const testProxy = createTestProxy(
    knownConnections(() => Promise.resolve(jsonResponse(200, { success: true, message: "ok" }))),
  );
  expect((await send(testProxy, { body })).status).toBe(200);
  const [sent] = testProxy.upstreamRequests.filter(({ method }) => method === "POST");
  const text = new TextDecoder("utf-8", { ignoreBOM: true }).decode(sent?.body ?? undefined);
  const value: unknown = JSON.parse(text);
  expect(text).toBe(JSON.stringify(value));
  return value;
}

describe("requests that pass", () => {
  test("a list passes through, with the query rewritten", async () => {
    const testProxy = createTestProxy();
    const response = await get(testProxy, { query: "limit=5&onlineOnly=true&future=a%2fb" });
    expect(response.status).toBe(200);
    expect(bodyOf(response)).toEqual({ connections: [], hasNextPage: false });
    expect(testProxy.upstreamRequests).toMatchObject([
      { method: "GET", path: "/v1/environments", query: "limit=5&onlineOnly=true&future=a%2Fb", body: null },
    ]);
  });

  test("a body is forwarded as it was validated, with unknown members", async () => {
    const sent = { messages: [{ ...message, future: 1 }], agentId: "a1", later: { x: 1.5, y: [9007199254740991] } };
    expect(await forwardedBody(`\ufeff ${JSON.stringify(sent, null, 2)} `)).toEqual(sent);
  });

  test("the validated copy of a duplicate member is the one that is forwarded", async () => {
    // The key of the test may not approve, so a body with this copy alone is refused.
    const approval = JSON.stringify([{ type: "approval", approvals: [{ approve: true, tool_call_id: "t" }] }]);
    const body = `{"messages":${approval},"agentId":"other","messages":${JSON.stringify([message])},"agentId":"a1"}`;
    expect(await forwardedBody(body)).toEqual({ messages: [message], agentId: "a1" });
  });

  test.each(["__proto__", "prototype", "constructor"])(
    "a member %s of a known object is not forwarded",
    async (name) => {
      const body = `{"${name}":{"agentId":"other"},"messages":[{"${name}":{"x":1},${JSON.stringify(message).slice(1)}]}`;
      expect(await forwardedBody(body)).toStrictEqual({ messages: [message] });
    },
  );

  test("a member __proto__ inside an unknown member is forwarded", async () => {
    const body = `{"later":{"__proto__":{"x":1}},"messages":[${JSON.stringify(message)}]}`;
    expect(JSON.stringify(await forwardedBody(body))).toContain('"__proto__":{"x":1}');
  });

  test("a HEAD is handled as a GET, and its response has no body", async () => {
    const testProxy = createTestProxy();
    const response = await get(testProxy, { method: "HEAD" });
    expect(response).toMatchObject({ status: 200, body: null });
    expect(testProxy.upstreamRequests[0]?.method).toBe("GET");
  });

  test("every response carries its request id, and may be neither stored by caches nor sniffed", async () => {
    const testProxy = createTestProxy();
    const own = await get(testProxy, { headers: { "x-request-id": "trace-1" } });
    const refused = await testProxy.proxy.handle(fakeRequest({ path: "/nowhere" }));
    expect(own.headers["x-request-id"]).toBe("trace-1");
    expect(refused.headers["x-request-id"]).toMatch(/^req-/);
    for (const { headers } of [own, refused]) {
      expect(headers).toMatchObject({ "cache-control": "private, no-store", "x-content-type-options": "nosniff" });
    }
  });

  test("a request id that could split a log line or a header is replaced", async () => {
    const testProxy = createTestProxy();
    for (const id of ["a\r\nb", "a b", "", "x".repeat(129), "a, b"]) {
      const response = await testProxy.proxy.handle(fakeRequest({ headers: { "x-request-id": id } }));
      expect(response.headers["x-request-id"]).toMatch(/^req-/);
    }
  });
});

describe("requests refused with 400", () => {
  test.each([
    ["9007199254740993", "later"],
    ["-12345678901234567890", "later"],
    ["1e20", "later"],
    ["1e400", "later"],
    ['[1,{"x":-1e999}]', "later[1].x"],
  ])(
    "the number %s, which cannot be passed on exactly, is refused with the name of its member",
    async (number, member) => {
      const testProxy = createTestProxy();
      const response = await send(testProxy, { body: `${sendBody.slice(0, -1)},"later":${number}}` });
      expect(problemOf(response)).toMatchObject({ status: 400, errorCode: "invalid_request" });
      expect(problemOf(response).errors).toMatchObject([
        { member, rule: expect.stringContaining("send it as a string") },
      ]);
      expect(testProxy.upstreamRequests).toEqual([]);
    },
  );

  test("malformed JSON is 400", async () => {
    const response = await send(createTestProxy(), { body: '{"messages": [' });
    expect(problemOf(response)).toMatchObject({ status: 400, errorCode: "malformed_json" });
  });

  test("a body that breaks a rule is 400 naming the member", async () => {
    const response = await send(createTestProxy(), {
      body: JSON.stringify({ messages: [{ ...message, content: 5 }] }),
    });
    expect(problemOf(response).errors).toMatchObject([{ member: "messages[0].content" }]);
    const limited = await get(createTestProxy(), { query: "limit=101" });
    expect(problemOf(limited).errors).toMatchObject([{ member: "limit" }]);
  });

  test("a parameter that is given twice is 400", async () => {
    const response = await get(createTestProxy(), { query: "limit=1&limit=2" });
    expect(problemOf(response)).toMatchObject({ errorCode: "invalid_request" });
  });
});

describe("requests refused with 401", () => {
  test("a 401 is returned before the body is read and before the upstream is called", async () => {
    const testProxy = createTestProxy();
    const request = fakeRequest({ method: "POST", path: "/v1/environments/c/messages", body: sendBody });
    const response = await testProxy.proxy.handle({
      ...request,
      readBody: () => Promise.reject(new Error("was read")),
    });
    expect(problemOf(response).errorCode).toBe("missing_key");
    expect(testProxy.upstreamRequests).toEqual([]);
  });

  test("two keys in one request count as no key", async () => {
    const testProxy = createTestProxy();
    const { key } = await testProxy.issueKey();
    const response = await testProxy.proxy.handle(
      fakeRequest({ headers: { authorization: `Bearer ${key}, Bearer ${key}` } }),
    );
    expect(problemOf(response).errorCode).toBe("invalid_key");
  });
});

describe("requests refused with 403", () => {
  test("the 403 for a missing scope names the scope", async () => {
    const testProxy = createTestProxy();
    const { key } = await testProxy.issueKey({ scopes: ["read"] });
    const response = await testProxy.proxy.handle(fakeRequest({ key }));
    expect(problemOf(response)).toMatchObject({
      errorCode: "insufficient_scope",
      detail: expect.stringContaining("'list'"),
    });
    expect(response.headers["www-authenticate"]).toContain('error="insufficient_scope", scope="list"');
    expect(testProxy.upstreamRequests).toEqual([]);
  });

  test("decisions on approval requests need the scope approve in addition to send", async () => {
    const testProxy = createTestProxy();
    const body = JSON.stringify({
      agentId: "a1",
      messages: [message, { type: "approval", approvals: [{ approve: true, tool_call_id: "t1" }] }],
    });
    expect(problemOf(await send(testProxy, { body })).errorCode).toBe("insufficient_scope");
    const { key } = await testProxy.issueKey({ scopes: ["send", "approve"] });
    expect((await send(testProxy, { body, key })).status).toBe(200);
  });
});

describe("requests refused with 404", () => {
  test.each([
    "/",
    "/v1",
    "/v1/environments/",
    "/v1/environments/d/x/y",
    "/v1/agents",
    "//v1/environments",
    "/V1/environments",
  ])("the path %s does not exist, with or without a key", async (path) => {
    const testProxy = createTestProxy();
    expect(problemOf(await get(testProxy, { path })).errorCode).toBe("endpoint_not_found");
    expect((await testProxy.proxy.handle(fakeRequest({ path }))).status).toBe(404);
  });

  test("device endpoints do not exist with a remote upstream", async () => {
    const testProxy = createTestProxy();
    const { key } = await testProxy.issueKey({ scopes: ["connect"] });
    const register = fakeRequest({ method: "POST", path: "/v1/environments/register", key, body: "{}" });
    expect(problemOf(await testProxy.proxy.handle(register)).errorCode).toBe("endpoint_not_found");
    const socket = await testProxy.proxy.upgrade(fakeRequest({ path: "/v1/environments/c/socket", key }));
    expect(socket).toMatchObject({ kind: "refused", response: { status: 404 } });
  });

  test("a device outside the key's allowlist does not exist", async () => {
    const row = environmentRow("1", { deviceId: "mine" });
    const testProxy = createTestProxy(() => Promise.resolve(jsonResponse(200, row)));
    const { key } = await testProxy.issueKey({ deviceIds: ["mine"] });
    const response = await testProxy.proxy.handle(fakeRequest({ key, path: "/v1/environments/theirs" }));
    expect(problemOf(response).errorCode).toBe("environment_not_found");
    expect((await testProxy.proxy.handle(fakeRequest({ key, path: "/v1/environments/mine" }))).status).toBe(200);
    expect(testProxy.upstreamRequests.map(({ path }) => path)).toEqual(["/v1/environments/mine"]);
  });
});

test("a 405 lists the supported methods in Allow", async () => {
  const response = await get(createTestProxy(), { method: "DELETE" });
  expect(response).toMatchObject({ status: 405, headers: { allow: "GET, HEAD" } });
});

test("a body over 1 MiB is 413, and one of exactly 1 MiB is not", async () => {
  const padded = (length: number): string => sendBody.padEnd(length, " ");
  expect(problemOf(await send(createTestProxy(), { body: padded(1_048_577) })).errorCode).toBe("body_too_large");
  expect((await send(createTestProxy(), { body: padded(1_048_576) })).status).toBe(200);
});

test("a body over 128 KiB is 413 where the endpoint needs no more", async () => {
  const testProxy = createTestProxy(undefined, { ports: { upstream: emptyEmbeddedUpstream } });
  const { key } = await testProxy.issueKey({ scopes: ["control", "admin"] });
  const ask = (method: string, path: string, length: number) =>
    testProxy.proxy.handle(fakeRequest({ key, method, path: `/v1/environments/${path}`, body: "{}".padEnd(length) }));
  for (const [method, path] of [
    ["POST", "c/stop"],
    ["PATCH", "d"],
  ] as const) {
    const { errors } = problemOf(await ask(method, path, 131_073));
    expect(errors).toEqual([{ member: "body", rule: "must have at most 131,072 bytes" }]);
    expect(problemOf(await ask(method, path, 131_072)).errorCode).not.toBe("body_too_large");
  }
});

test.each([
  { "content-encoding": "gzip" },
  { "content-type": "text/plain" },
  { "content-type": "application/json; charset=latin1" },
])("a body that comes as %j is 415", async (headers) => {
  const response = await send(createTestProxy(), { headers: { "content-type": "application/json", ...headers } });
  expect(response.status).toBe(415);
  expect(problemOf(response).errorCode).toBe("unsupported_media_type");
});

test("an encoded body is 415, and the response names the header and the encoding that is accepted", async () => {
  const headers = { "content-type": "application/json", "content-encoding": "gzip" };
  const response = await send(createTestProxy(), { headers });
  expect(response.headers).toMatchObject({ "accept-encoding": "identity" });
  expect(problemOf(response).errors).toMatchObject([{ member: "content-encoding" }]);
  const other = await send(createTestProxy(), { headers: { "content-type": "text/plain" } });
  expect(other.headers).not.toHaveProperty("accept-encoding");
});

test("a body with a transfer encoding other than chunked is 400, if the runtime has accepted it", async () => {
  const sent = (coding: string) => send(createTestProxy(), { headers: { "transfer-encoding": coding } });
  const refused = await sent("gzip, chunked");
  expect([refused.status, problemOf(refused).errors]).toEqual([
    400,
    [{ member: "transfer-encoding", rule: "must be absent or chunked" }],
  ]);
  expect((await sent("Chunked")).status).toBe(200);
});

describe("requests that fail internally", () => {
  test("a defect is reported with its cause, and the caller receives no detail", async () => {
    const cause = new Error("secret detail");
    const testProxy = createTestProxy(() => Promise.reject(cause));
    const response = await get(testProxy, {});
    expect(problemOf(response).errorCode).toBe("internal_error");
    expect(response.body).not.toContain("secret");
    expect(testProxy.events).toContainEqual(expect.objectContaining({ type: "internal_error", cause }));
  });

  test("a failing key store authenticates no request", async () => {
    const testProxy = createTestProxy(emptyUpstream, {
      ports: { keyStore: { ...createTestProxy().keyStore, find: () => Promise.reject(new Error("disk")) } },
    });
    const { key } = await createTestProxy().issueKey();
    expect((await testProxy.proxy.handle(fakeRequest({ key }))).status).toBe(500);
    expect(testProxy.upstreamRequests).toEqual([]);
  });
});

test("the event of a request names the caller and the operation, and contains no content", async () => {
  const testProxy = createTestProxy();
  const { key, record } = await testProxy.issueKey({ tenant: "t1" });
  await send(testProxy, { key, headers: { "x-request-id": "r1", "content-type": "application/json" } });
  expect(testProxy.events).toEqual([
    {
      type: "request",
      requestId: "r1",
      method: "POST",
      operation: "sendMessage",
      status: 200,
      durationMs: 0,
      tenant: "t1",
      keyId: record.id,
    },
  ]);
});

test.each([
  ["a send with Prefer: wait", "POST", "/v1/environments/conn-1/messages", "", 20],
  ["a read with wait", "GET", "/v1/environments/conn-1/messages/m1", "wait=finished&waitSeconds=40", 40],
  ["a read without wait", "GET", "/v1/environments/conn-1/messages/m1", "", undefined],
])("the event of %s contains its maximum wait", async (_what, method, path, query, waitSeconds) => {
  const testProxy = createTestProxy(
    knownConnections(() => Promise.resolve(jsonResponse(200, { success: true, message: "ok" }))),
  );
  const headers = { "content-type": "application/json", ...(method === "POST" && { prefer: "wait=20" }) };
  await send(testProxy, { method, path, query, headers });
  const [event] = testProxy.events.filter(({ type }) => type === "request");
  expect(event).toMatchObject({ operation: method === "POST" ? "sendMessage" : "retrieveMessage" });
  expect(event && "waitSeconds" in event ? event.waitSeconds : undefined).toBe(waitSeconds);
});

test("durations of requests are reported in milliseconds with microseconds", async () => {
  let passedMs = 0;
  const ports = { clock: { ...createVirtualClock(), monotonic: () => (passedMs += 0.700_123_4) } };
  const testProxy = createTestProxy(emptyUpstream, { ports });
  const { key } = await testProxy.issueKey();
  await testProxy.proxy.handle(fakeRequest({ key }));
  const durations = testProxy.events.flatMap((event) => (event.type === "request" ? [event.durationMs] : []));
  expect(durations.map(String)).toEqual([expect.stringMatching(/^\d+\.\d{1,3}$/)]);
});

test("a log that fails does not change the response of a success, a refusal or a failure", async () => {
  const broken = {
    ports: {
      telemetry: () => {
        throw new Error("the disk of the log is full");
      },
    },
  };
  const testProxy = createTestProxy(
    knownConnections(() => Promise.reject(new Error("no connection"))),
    broken,
  );
  const { key } = await testProxy.issueKey();
  expect((await createTestProxy(undefined, broken).proxy.handle(fakeRequest())).status).toBe(401);
  const failed = await testProxy.proxy.handle(fakeRequest({ key }));
  expect([failed.status, problemOf(failed).errorCode]).toEqual([500, "internal_error"]);
  const working = createTestProxy(undefined, broken);
  const { key: workingKey } = await working.issueKey();
  expect((await working.proxy.handle(fakeRequest({ key: workingKey }))).status).toBe(200);
});
