import {
  endpoints,
  jsonResponse,
  type KnownEndpoint,
  type PlainResponse,
  type Problem,
  problemResponse,
} from "@letta-environments/schema";
import { describe, expect, test } from "vitest";
import { environmentRow } from "../../test/support/environment-row.ts";
import { fakeRequest } from "../../test/support/fake-request.ts";
import { createTestProxy, emptyUpstream, problemOf, upstreamCredential } from "../../test/support/test-proxy.ts";
import { knownConnections } from "../../test/support/known-connections.ts";
import type { UpstreamFetch } from "../ports.ts";
import { validateResponse } from "./validate-response.ts";

const sendBody = JSON.stringify({ agentId: "a", messages: [{ role: "user", content: "x", client_message_id: "m" }] });
const never: UpstreamFetch = () => new Promise(() => undefined);

/** Responses of a proxy to a read and to a send over the same upstream. */
async function readAndSend(upstream: UpstreamFetch): Promise<{ read: PlainResponse; send: PlainResponse }> {
  const { proxy, issueKey } = createTestProxy(knownConnections(upstream));
  const { key } = await issueKey();
  return {
    read: await proxy.handle(fakeRequest({ key })),
    send: await proxy.handle(fakeRequest({ key, method: "POST", path: "/v1/environments/c/messages", body: sendBody })),
  };
}

function respondWith(status: number, body: unknown, headers: Record<string, string> = {}): UpstreamFetch {
  const text = typeof body === "string" ? body : JSON.stringify(body);
  return () => Promise.resolve({ status, headers: { "content-type": "application/json", ...headers }, body: text });
}

function retries({ read, send }: { read: PlainResponse; send: PlainResponse }): unknown {
  return [read.headers["x-should-retry"], send.headers["x-should-retry"]];
}

describe("a deadline of 30 s", () => {
  test.each([
    ["GET", "/v1/environments", "upstream_timeout", "true"],
    ["POST", "/v1/environments/c/messages", "delivery_unknown", "false"],
  ])("the deadline of 30 s ends a %s with 504 %s", async (method, path, code, retryable) => {
    const { proxy, issueKey, clock } = createTestProxy(knownConnections(never));
    const { key } = await issueKey();
    let hasResponded = false;
    const pending = proxy
      .handle(fakeRequest({ key, method, path, body: sendBody }))
      .finally(() => (hasResponded = true));
    await clock.advance(29_999);
    expect(hasResponded).toBe(false);
    await clock.advance(1);
    const response = await pending;
    expect(response.headers["x-should-retry"]).toBe(retryable);
    const detail = expect.stringMatching(/^The upstream did not respond in time/);
    expect(problemOf(response)).toMatchObject({ status: 504, errorCode: code, detail });
  });

  test("the deadline cancels the upstream call", async () => {
    let signal: AbortSignal | undefined;
    const { proxy, issueKey, clock } = createTestProxy((_request, given) => {
      signal = given;
      return never(_request, given);
    });
    const { key } = await issueKey();
    const pending = proxy.handle(fakeRequest({ key }));
    await clock.advance(30_000);
    await pending;
    expect(signal?.aborted).toBe(true);
  });
});

test("a client that disconnects cancels the upstream call, and is recorded as 499", async () => {
  const caller = new AbortController();
  let signal: AbortSignal | undefined;
  const { proxy, issueKey, events } = createTestProxy((request, given) => {
    signal = given;
    caller.abort();
    return never(request, given);
  });
  const { key } = await issueKey();
  await proxy.handle(fakeRequest({ key, signal: caller.signal }));
  expect(signal?.aborted).toBe(true);
  expect(events).toMatchObject([{ type: "request", status: 499 }]);
});

describe("calls without a response", () => {
  test("a call that was never sent is 502 and safe to repeat", async () => {
    const responses = await readAndSend(() => Promise.resolve({ reason: "unreachable", cause: null }));
    expect([problemOf(responses.read).errorCode, problemOf(responses.send).errorCode]).toEqual([
      "upstream_unreachable",
      "upstream_unreachable",
    ]);
    expect(retries(responses)).toEqual(["true", "true"]);
  });

  test("a send that may have been delivered is delivery_unknown", async () => {
    const responses = await readAndSend(() => Promise.resolve({ reason: "broken", cause: null }));
    expect([problemOf(responses.read).errorCode, problemOf(responses.send).errorCode]).toEqual([
      "upstream_unreachable",
      "delivery_unknown",
    ]);
    expect(problemOf(responses.send).detail).toMatch(/^The connection to the upstream broke.* may be running/);
    expect(retries(responses)).toEqual(["true", "false"]);
  });

  test("a response after an unsolicited 100 Continue is named, and must not be retried", async () => {
    const responses = await readAndSend(() => Promise.resolve({ reason: "unexpected_continue", cause: null }));
    const detail = expect.stringContaining("100 Continue");
    expect(problemOf(responses.read)).toMatchObject({ status: 502, errorCode: "upstream_invalid_response", detail });
    expect(problemOf(responses.send)).toMatchObject({ errorCode: "delivery_unknown", delivery: "unknown", detail });
    expect(retries(responses)).toEqual(["false", "false"]);
  });

  test("a response in a content coding that cannot be decoded is invalid, and a send may have been delivered", async () => {
    const responses = await readAndSend(() => Promise.resolve({ reason: "undecodable", cause: null }));
    expect(problemOf(responses.read)).toMatchObject({ status: 502, errorCode: "upstream_invalid_response" });
    expect(problemOf(responses.send)).toMatchObject({ errorCode: "delivery_unknown", delivery: "unknown" });
    expect(retries(responses)).toEqual(["false", "false"]);
  });

  test("a response over the size limit is 502 and must not be retried", async () => {
    const responses = await readAndSend(() => Promise.resolve({ reason: "too_large", cause: null }));
    expect(problemOf(responses.read)).toMatchObject({ status: 502, errorCode: "upstream_response_too_large" });
    expect(retries(responses)).toEqual(["false", "false"]);
  });
});

describe("unusable responses", () => {
  test.each([301, 302, 303, 307, 308])("the upstream's redirect %d is not followed", async (status) => {
    const { read } = await readAndSend(respondWith(status, "", { location: "https://elsewhere.example/" }));
    expect(problemOf(read)).toMatchObject({ status: 502, errorCode: "upstream_redirected" });
    expect(JSON.stringify(read)).not.toContain("elsewhere");
  });

  test.each([401, 403])("an upstream %d concerns the gateway's credential, not the caller's key", async (status) => {
    const { read } = await readAndSend(
      respondWith(status, { message: "Unauthorized" }, { "www-authenticate": "Bearer" }),
    );
    expect(problemOf(read)).toMatchObject({ status: 502, errorCode: "upstream_credential_rejected" });
    expect(read.headers).not.toHaveProperty("www-authenticate");
  });

  test("an upstream 304 is not a redirect: the request had no condition", async () => {
    const { read, send } = await readAndSend(() => Promise.resolve({ status: 304, headers: {}, body: null }));
    expect(problemOf(read)).toMatchObject({ status: 502, errorCode: "upstream_invalid_response" });
    expect(problemOf(send)).toMatchObject({ status: 502, errorCode: "upstream_invalid_response", delivery: "unknown" });
  });

  test.each([
    ["bytes", new TextEncoder().encode('\uFEFF{"success":true,"message":"ok"}')],
    ["text", '\uFEFF{"success":true,"message":"ok"}'],
  ])("an upstream success that begins with a byte order mark is 502, for a send too: %s", async (_as, body) => {
    const headers = { "content-type": "application/json" };
    const { read, send } = await readAndSend(() => Promise.resolve({ status: 200, headers, body }));
    expect(problemOf(read)).toMatchObject({ status: 502, errorCode: "upstream_invalid_response" });
    expect(problemOf(send)).toMatchObject({ status: 502, errorCode: "upstream_invalid_response", delivery: "unknown" });
  });

  test.each([401, 403])("an upstream %d without a credential says that the gateway sent none", async (status) => {
    const { proxy, issueKey } = createTestProxy(respondWith(status, {}), { remote: { credentialOf: () => null } });
    const problem = problemOf(await proxy.handle(fakeRequest({ key: (await issueKey()).key })));
    expect(problem).toMatchObject({
      status: 502,
      errorCode: "upstream_credential_rejected",
      detail: `The upstream refused a request without a credential (status ${status}): the gateway has none for it.`,
    });
  });

  test.each([
    ["a page", "<html>", "text/html"],
    ["JSON that breaks off", '{"connections": [', "application/json"],
    ["JSON that is not an object", "[]", "application/json"],
    ["JSON with a text content type", "{}", "text/plain"],
    ["nothing", "", "application/json"],
  ])("an upstream success with %s is 502", async (_what, body, contentType) => {
    const { read } = await readAndSend(respondWith(200, body, { "content-type": contentType }));
    expect(problemOf(read)).toMatchObject({ status: 502, errorCode: "upstream_invalid_response" });
  });
});

test.each([600, 999])("an upstream status of %d, which is not a valid HTTP status, is 502", async (status) => {
  const { read, send } = await readAndSend(respondWith(status, {}));
  for (const response of [read, send]) {
    expect(problemOf(response)).toMatchObject({ status: 502, errorCode: "upstream_invalid_response" });
  }
});

describe("upstream errors", () => {
  test.each([
    [400, "false", "false"],
    [404, "false", "false"],
    [429, "true", "false"],
    [500, "true", "false"],
    [502, "true", "false"],
    [503, "true", "false"],
  ])(
    "an upstream error %d keeps its status; a repeat is safe for a read: %s, for a send: %s",
    async (status, read, send) => {
      const responses = await readAndSend(respondWith(status, { message: "no" }));
      expect(problemOf(responses.read)).toMatchObject({ status, errorCode: "upstream_error", detail: "no" });
      expect(retries(responses)).toEqual([read, send]);
    },
  );

  test.each([
    [405, "upstream_error", "method_not_allowed", "allow"],
    [407, "upstream_credential_rejected", "upstream_error", "proxy-authenticate"],
    [426, "upstream_error", "upgrade_required", "upgrade"],
  ] as const)(
    "an upstream status %d is 502 %s, because the header that callers need for it is not passed on",
    async (status, code, ownCode, field) => {
      const headers = { [field]: "x" };
      for (const body of [{ message: "no" }, problemOf(problemResponse(ownCode))]) {
        const responses = await readAndSend(respondWith(status, body, headers));
        for (const response of [responses.read, responses.send]) {
          expect(problemOf(response)).toMatchObject({ status: 502, errorCode: code });
          expect(response.headers).not.toHaveProperty(field);
        }
        expect(problemOf(responses.send)).toHaveProperty("delivery", "none");
        expect(retries(responses)).toEqual(["false", "false"]);
      }
    },
  );

  test.each([
    [421, "none", "false"],
    [408, "unknown", "true"],
  ])(
    "an upstream status %d is 502, because clients automatically retry it; a send has delivery %s",
    async (status, delivery, isReadRepeatable) => {
      const responses = await readAndSend(respondWith(status, { message: "no" }));
      for (const response of [responses.read, responses.send]) {
        expect(problemOf(response)).toMatchObject({ status: 502, errorCode: "upstream_error" });
      }
      expect(problemOf(responses.send)).toHaveProperty("delivery", delivery);
      expect(retries(responses)).toEqual([isReadRepeatable, "false"]);
    },
  );

  test("an upstream error can say whether and when a repeat is safe", async () => {
    const { read } = await readAndSend(respondWith(500, {}, { "x-should-retry": "false", "retry-after": "7" }));
    expect(read.headers).toMatchObject({ "x-should-retry": "false", "retry-after": "7" });
    const bad = await readAndSend(respondWith(409, {}, { "x-should-retry": "true", "retry-after": "soon\u0001" }));
    expect(retries(bad)).toEqual(["true", "false"]);
    expect(bad.read.headers).not.toHaveProperty("retry-after");
  });

  test.each([
    [{ message: "m", error: "e", detail: "d" }, "m"],
    [{ error: "e", detail: "d" }, "e"],
    [{ detail: "d" }, "d"],
    [{ detail: [{ loc: 1 }] }, "The upstream returned status 422."],
    ["<html>Oops</html>", "The upstream returned status 422."],
  ])("the upstream error body %j becomes the detail %j", async (body, detail) => {
    expect(problemOf((await readAndSend(respondWith(422, body))).read).detail).toBe(detail);
  });

  test("the text of an upstream error contains no credential and no control characters, and has at most 500 characters", async () => {
    const message = `key ${upstreamCredential} \r\n\u0000is bad ${"x".repeat(1_000)}`;
    const problem = problemOf((await readAndSend(respondWith(400, { message }))).read);
    expect(problem.detail).toMatch(/^key \[removed\]\s+is bad x+$/);
    expect(problem.detail).toHaveLength(500);
    expect(JSON.stringify(problem)).not.toContain(upstreamCredential);
  });

  test("a device unknown to the upstream is environment_not_found for every key, unless a generic web server responded", async () => {
    const page = { status: 404, headers: { "content-type": "text/html" }, body: "<html>Not Found</html>" };
    const answers = [jsonResponse(404, { message: "no such device" }), problemResponse("endpoint_not_found"), page];
    for (const deviceIds of [null, ["d"]]) {
      const codes: unknown[] = [];
      for (const answer of answers) {
        const { proxy, issueKey } = createTestProxy(() => Promise.resolve(answer));
        const { key } = await issueKey({ deviceIds });
        const response = await proxy.handle(fakeRequest({ key, path: "/v1/environments/d" }));
        codes.push([response.status, problemOf(response).errorCode]);
      }
      const unlimited = [
        [404, "environment_not_found"],
        [404, "endpoint_not_found"],
        [404, "upstream_error"],
      ];
      expect(codes).toEqual(deviceIds === null ? unlimited : answers.map(() => [404, "environment_not_found"]));
    }
  });

  test("an upstream error keeps its code only if it is a problem of this API", async () => {
    const ours: Partial<Problem> = {
      type: "urn:letta-environments:problem:device_offline",
      errorCode: "device_offline",
      message: "Remote environment is offline. Nothing was sent.",
    };
    expect(problemOf((await readAndSend(respondWith(409, ours))).send).errorCode).toBe("device_offline");
    expect(problemOf((await readAndSend(respondWith(400, ours))).send).errorCode).toBe("upstream_error");
    expect(problemOf((await readAndSend(respondWith(409, { ...ours, type: "x" }))).send).errorCode).toBe(
      "upstream_error",
    );
    expect(problemOf((await readAndSend(respondWith(409, { errorCode: "toString" }))).send).errorCode).toBe(
      "upstream_error",
    );
  });
});

test.each([undefined, "0", "999999999"])(
  "every response says that the gateway remembers message ids for a day, whatever the upstream says: %s",
  async (seconds) => {
    const headers: Record<string, string> = seconds === undefined ? {} : { "x-message-deduplication": seconds };
    const good = await readAndSend(respondWith(200, { connections: [], hasNextPage: false }, headers));
    const bad = await readAndSend(respondWith(409, { message: "no" }, headers));
    for (const response of [good.read, good.send, bad.read, bad.send]) {
      expect(response.headers["x-message-deduplication"]).toBe("86400");
    }
  },
);

test("no response promises deduplication if the store of sends is in memory", async () => {
  const { proxy, issueKey } = createTestProxy(emptyUpstream, { remote: { isStoreVolatile: true } });
  const { key } = await issueKey();
  expect((await proxy.handle(fakeRequest({ key }))).headers).not.toHaveProperty("x-message-deduplication");
});

test("only the body and the replay mark of an upstream success are forwarded", async () => {
  const headers = {
    "set-cookie": "a=b",
    server: "x",
    etag: "y",
    "idempotency-replayed": "true",
    "x-request-id": "theirs",
  };
  const { read } = await readAndSend(respondWith(200, { connections: [], hasNextPage: false }, headers));
  expect(Object.keys(read.headers).toSorted()).toEqual([
    "cache-control",
    "content-type",
    "idempotency-replayed",
    "x-content-type-options",
    "x-message-deduplication",
    "x-request-id",
  ]);
  expect(read.headers["x-request-id"]).not.toBe("theirs");
});

describe("successes without the body of their endpoint", () => {
  const paths = ["/environments", "/environments/device-1", "/environments/approvals", "/environments/conn-1/messages"];
  test.each(
    paths.flatMap((path) => [
      [path, "not JSON", '{"connections":[}'] as const,
      [path, "of another endpoint", '{"success":true}'] as const,
      [path, "not in UTF-8", new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x3a, 0x31, 0x7d])] as const,
    ]),
  )("a success without its endpoint's body is 502 for every key: /v1%s, %s", async (path, _what, body) => {
    const headers = { "content-type": "application/json" };
    const rows = jsonResponse(200, { connections: [environmentRow("1")], hasNextPage: false });
    const { proxy, issueKey } = createTestProxy(async (request) =>
      // The connection of messages is looked up first.
      request.path === `/v1${path}` ? { status: 200, headers, body } : rows,
    );
    const { key } = await issueKey({ scopes: ["list", "read", "approve", "view", "details"] });
    const query = path.endsWith("/messages") ? "include=text" : "";
    const response = await proxy.handle(fakeRequest({ key, path: `/v1${path}`, query }));
    expect([response.status, problemOf(response).errorCode]).toEqual([502, "upstream_invalid_response"]);
  });
});

describe("servers without an extension operation", () => {
  const extensions: readonly KnownEndpoint[] = Object.values(endpoints).filter(({ extension }) => extension === true);
  const missing = problemResponse("endpoint_not_found", {
    detail: "The environment server behind this gateway does not have this operation.",
  });

  test.each(extensions)("a missing operation is always endpoint_not_found: $operation", (endpoint) => {
    const answers: readonly PlainResponse[] = [
      ...[404, 405, 501].map((status) => jsonResponse(status, { errorCode: "x", message: "no" })),
      { status: 501, headers: { "content-type": "text/html" }, body: "<html>" },
      problemResponse("endpoint_not_found"),
      problemResponse("method_not_allowed"),
      problemResponse("key_not_found"),
    ];
    expect(answers.map((answer) => validateResponse(endpoint, answer, undefined))).toEqual(answers.map(() => missing));
  });

  test("a server that routes the approvals path to a device does not have the operation", () => {
    const answer = problemResponse("environment_not_found");
    expect(validateResponse(endpoints.listApprovals, answer, undefined)).toEqual(missing);
  });

  test.each([
    ["updateEnvironment", "environment_not_found"],
    ["retrieveLastRuntime", "environment_not_found"],
    ["stopTurn", "connection_not_found"],
    ["listMessages", "connection_not_found"],
  ] as const)("a missing object of %s keeps its code, and the server's texts are not shown", (operation, code) => {
    const answer = problemResponse(code, { detail: "theirs", headers: { "x-ratelimit-limit": "7" } });
    expect(validateResponse(endpoints[operation], answer, undefined)).toEqual(problemResponse(code));
  });
});
