/** The pipeline behind Node's own server, over real sockets. */
import { once } from "node:events";
import { jsonResponse, type Problem } from "@letta-environments/schema";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import type { HostRoute } from "../src/host/gateway.ts";
import type { EmbeddedServer } from "../src/ports.ts";
import { knownConnections } from "./support/known-connections.ts";
import { type NodeServerUnderTest, startNodeServer } from "./support/node-server.ts";
import { openSocket, parseResponse, type RawResponse, readToEnd, requestHead, sendRaw } from "./support/raw-http.ts";
import { embedServer } from "../src/upstream/embedded.ts";

let server: NodeServerUnderTest;
let key = "";

beforeEach(async () => {
  server = await startNodeServer(
    knownConnections(() =>
      Promise.resolve(jsonResponse(200, { connections: [], hasNextPage: false, success: true, message: "ok" })),
    ),
  );
  ({ key } = await server.issueKey());
});

afterEach(async () => {
  await server.connections.close();
  if (server.failures.length > 0) throw new AggregateError(server.failures, "a failure that no request was told of");
});

function send(
  method: string,
  target: string,
  headers: Record<string, string> = {},
  body: string = "",
): Promise<RawResponse> {
  return sendRaw(server.url, requestHead(method, target, { authorization: `Bearer ${key}`, ...headers }) + body);
}

function codeOf({ headers, body }: RawResponse): string {
  expect(headers["content-type"]).toBe("application/problem+json");
  expect(headers["x-request-id"]).toBeDefined();
  return (JSON.parse(body) as Problem).errorCode;
}

/** The authority that an embedded server receives; `null` also when the request does not reach it. */
async function authorityOf(target: string, headers: Record<string, string> = {}): Promise<string | null> {
  let authority: string | null = null;
  const operate: EmbeddedServer["operate"] = (_operation, _input, _principal, context) => {
    ({ authority } = context);
    return Promise.resolve(jsonResponse(200, { connections: [], hasNextPage: false }));
  };
  const upstream = embedServer({ operate, findConnection: () => Promise.resolve(null) });
  const embedded = await startNodeServer(undefined, { ports: { upstream } });
  const { key: embeddedKey } = await embedded.issueKey();
  await sendRaw(embedded.url, requestHead("GET", target, { authorization: `Bearer ${embeddedKey}`, ...headers }));
  await embedded.connections.close();
  return authority;
}

describe("paths are passed on unchanged", () => {
  test.each([
    "/v1/environments/..%2Fagents",
    "/v1/environments/%2e%2e%2fagents",
    "/v1/environments/%2e%2e",
    "/v1/environments/%2e",
    "/v1/environments/..",
    "/v1/environments/.",
    "/v1/environments/a%00b",
    "/v1/environments/a%0d%0aX:1",
    "/v1/environments/..%5Cagents",
    "/v1/environments/%252e%252e%252f",
    "/v1/environments/x#y",
  ])("the path %s is refused with invalid_id", async (target) => {
    const response = await send("GET", target);
    expect([response.status, codeOf(response)]).toEqual([400, "invalid_id"]);
    expect(server.upstreamRequests).toEqual([]);
  });

  test.each([
    "/v1/environments/../environments",
    "/v1/x/../environments",
    "/v1/environments/",
    "/v1/../livez",
    "//livez/..",
  ])("the path %s is not resolved to another path", async (target) => {
    const response = await send("GET", target);
    expect(response.status === 404 || response.status === 400).toBe(true);
    expect(response.headers["content-type"]).toBe("application/problem+json");
    expect(server.upstreamRequests).toEqual([]);
  });

  test("an absolute request target determines the path, never the host", async () => {
    const response = await send("GET", "http://evil.example/v1/environments?limit=1");
    expect(response.status).toBe(200);
    expect(server.upstreamRequests).toMatchObject([{ path: "/v1/environments", query: "limit=1" }]);
    expect(await authorityOf("http://evil.example/v1/environments")).toBe("http://127.0.0.1");
    expect(codeOf(await send("GET", "http://evil.example/v1/environments/%2e%2e"))).toBe("invalid_id");
  });

  test.each([
    ["GET", "/v1\\environments"],
    ["GET", "*"],
    ["GET", "ftp://x/v1/environments"],
  ])("the request %s %s gets a problem, not an empty response", async (method, target) => {
    expect(codeOf(await send(method, target))).toBe("invalid_request");
  });

  test("two Host fields are 400, and the request does not reach the handler", async () => {
    const hosts = { host: "gateway.example", Host: "other.example" };
    for (const target of ["/v1/environments", "/livez"]) expect((await send("GET", target, hosts)).status).toBe(400);
    expect(server.upstreamRequests).toEqual([]);
  });

  test("an invalid Host is ignored and causes no failure", async () => {
    for (const host of ["a b", "x/../y", "user@host", "evil.example:99999999"]) {
      const response = await send("GET", "/v1/environments", { host });
      expect([200, 400]).toContain(response.status);
      expect(await authorityOf("/v1/environments", { host })).toBeNull();
    }
  });
});

describe("keys over HTTP", () => {
  test("two Authorization fields are refused, even if one is valid", async () => {
    const twice = `GET /v1/environments HTTP/1.1\r\nhost: x\r\nconnection: close\r\nauthorization: Bearer ${key}\r\nauthorization: Bearer x\r\n\r\n`;
    expect(codeOf(await sendRaw(server.url, twice))).toBe("invalid_key");
  });

  test("a wrong key is 401 with a challenge, and not repeated by clients", async () => {
    const response = await send("GET", "/v1/environments", { authorization: "Bearer lek_wrong" });
    expect(response).toMatchObject({ status: 401, headers: { "x-should-retry": "false" } });
    expect(response.headers["www-authenticate"]).toMatch(/^Bearer realm=/);
  });

  test("health checks need no key and call no upstream", async () => {
    const headers = { authorization: "" };
    expect(await send("GET", "/livez", headers)).toMatchObject({ status: 200, body: '{"status":"alive"}' });
    expect(await send("GET", "/readyz", headers)).toMatchObject({ status: 200 });
    expect(await send("HEAD", "/livez", headers)).toMatchObject({ status: 200, body: "" });
    expect((await send("POST", "/livez", headers)).status).toBe(405);
    server.isDraining = true;
    expect(codeOf(await send("GET", "/readyz", headers))).toBe("shutting_down");
    expect(server.upstreamRequests).toEqual([]);
    expect(server.events.filter(({ type }) => type !== "request")).toEqual([]);
  });
});

describe("bodies over HTTP", () => {
  const target = "/v1/environments/c/messages";
  const json = JSON.stringify({ agentId: "a", messages: [{ role: "user", content: "é", client_message_id: "m" }] });
  // An unknown member, since whitespace is not forwarded.
  const padding = "x".repeat(1_048_576 - Buffer.byteLength(json) - ',"padding":""'.length);
  const padded = `${json.slice(0, -1)},"padding":"${padding}"}`;
  const chunked = (body: string): string => `${Buffer.byteLength(body).toString(16)}\r\n${body}\r\n0\r\n\r\n`;

  test("a body of 1 MiB arrives completely, with a Content-Length or in chunks", async () => {
    const announced = await send("POST", target, { "content-length": String(Buffer.byteLength(padded)) }, padded);
    // Another message: a repeat of the same one is not sent again.
    const another = padded.replace('"client_message_id":"m"', '"client_message_id":"n"');
    const streamed = await send("POST", target, { "transfer-encoding": "chunked" }, chunked(another));
    expect([announced.status, streamed.status]).toEqual([200, 200]);
    const sent = server.upstreamRequests.filter(({ method }) => method === "POST");
    expect(sent.map(({ body }) => body?.byteLength)).toEqual([1_048_576, 1_048_576]);
  });

  test("a body over 1 MiB is refused, with a Content-Length or in chunks", async () => {
    const announced = await send("POST", target, { "content-length": "1048577" }, `${padded} `);
    const streamed = await send("POST", target, { "transfer-encoding": "chunked" }, chunked(`${padded} `));
    expect([codeOf(announced), codeOf(streamed)]).toEqual(["body_too_large", "body_too_large"]);
    expect(server.upstreamRequests).toEqual([]);
  });

  test("a body with a Content-Length over 1 MiB is refused before it is read", async () => {
    const socket = await openSocket(server.url);
    socket.write(requestHead("POST", target, { authorization: `Bearer ${key}`, "content-length": "9999999" }));
    const [first] = (await once(socket, "data")) as [Buffer];
    expect(parseResponse(first.toString("latin1")).status).toBe(413);
    socket.destroy();
  });

  test.each(["", "{", '{"messages":', "nonsense", '"\ud800"'])("a body that is not JSON is 400: %j", async (body) => {
    const headers = { "content-length": String(Buffer.byteLength(body)) };
    expect(["malformed_json", "invalid_request"]).toContain(codeOf(await send("POST", target, headers, body)));
  });

  test("a client that disconnects during its body causes no upstream request and no failure", async () => {
    const socket = await openSocket(server.url);
    socket.write(
      requestHead("POST", target, { authorization: `Bearer ${key}`, "content-length": "100" }) + json.slice(0, 10),
    );
    await new Promise((resolve) => server.server.once("request", resolve));
    socket.destroy();
    const recorded = await recordedStatus(server);
    expect(recorded).toBe(499);
    expect(server.upstreamRequests).toEqual([]);
  });
});

describe("malformed requests", () => {
  test.each([
    ["a line that is not HTTP", "hello\r\n\r\n"],
    [
      "a smuggled length",
      `POST /v1/environments/c/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n`,
    ],
    ["two Content-Length fields", "POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nx"],
    ["a header with a line feed", "GET / HTTP/1.1\r\nhost: x\r\na: b\nc\r\n\r\n"],
  ])("%s is refused with 400, and the connection is closed", async (_what, text) => {
    const response = await sendRaw(server.url, text);
    expect([response.status, codeOf(response)]).toEqual([400, "invalid_request"]);
    expect(response.headers["connection"]).toBe("close");
  });

  test.each([
    ["an unknown method", "FOO /v1/environments HTTP/1.1\r\nhost: x\r\n\r\n", 405],
    ["a CONNECT request", "CONNECT example.com:443 HTTP/1.1\r\nhost: example.com\r\n\r\n", 405],
    ["no Host", "GET /v1/environments HTTP/1.1\r\nconnection: close\r\n\r\n", 400],
    ["an unknown expectation", "GET /livez HTTP/1.1\r\nhost: x\r\nexpect: foo\r\n\r\n", 417],
  ])("%s is refused with a problem response", async (_what, text, status) => {
    const response = await sendRaw(server.url, text);
    expect([response.status, response.headers["content-type"]]).toEqual([status, "application/problem+json"]);
  });

  test.each([
    ["/v1/environments?limit=1", 405, "GET, HEAD"],
    ["/v1/environments/c/messages", 405, "POST, GET, HEAD"],
    ["/v1/ratelimit", 405, "GET, HEAD"],
    ["/admin/v1/keys/x", 405, "GET, HEAD, PATCH"],
    ["/livez", 405, "GET, HEAD"],
    ["/openapi.json", 405, "GET, HEAD"],
    ["/nope", 404, undefined],
    ["/v1/nope", 404, undefined],
    ["/admin/v1/nope", 404, undefined],
  ])(
    "an unknown method is treated like PUT for %s: %i, with the path's methods in Allow",
    async (path, ...expected) => {
      for (const method of ["PUT", "FOO", "M-X", "get", "constructor"]) {
        const response = await send(method, path, { "x-request-id": "trace-1" });
        expect([response.status, response.headers["allow"]]).toEqual(expected);
        expect([method, codeOf(response)]).toEqual([
          method,
          expected[0] === 404 ? "endpoint_not_found" : "method_not_allowed",
        ]);
        expect(response.headers["x-request-id"]).toBe("trace-1");
      }
    },
  );

  test("a refused request head gets one response with the caller's request id, and nothing after it is read", async () => {
    const head = "GET /livez HTTP/1.1\r\nhost: x\r\nx-request-id: trace-1\r\ntransfer-encoding: identity\r\n\r\n";
    const socket = await openSocket(server.url);
    socket.write(`${head}${requestHead("GET", "/livez")}`);
    const text = await readToEnd(socket);
    const { status, headers } = parseResponse(text);
    expect([status, headers["x-request-id"], headers["connection"]]).toEqual([400, "trace-1", "close"]);
    expect(text.match(/HTTP\/1\.1 \d+/g)).toEqual(["HTTP/1.1 400"]);
  });

  test("headers over the size limit are 431", async () => {
    const response = await sendRaw(server.url, requestHead("GET", "/livez", { a: "x".repeat(20_000) }));
    expect([response.status, codeOf(response)]).toEqual([431, "invalid_request"]);
  });

  test("an upgrade to a protocol other than WebSocket is ignored", async () => {
    const response = await send("GET", "/v1/environments", { connection: "upgrade, close", upgrade: "h2c" });
    expect(response.status).toBe(200);
  });

  test("a request after an ignored upgrade is not left hanging, because the response has Connection: close", async () => {
    const upgrade = "GET /livez HTTP/1.1\r\nhost: x\r\nconnection: Upgrade\r\nupgrade: h2c\r\n\r\n";
    const response = await sendRaw(server.url, `${upgrade}${requestHead("GET", "/livez")}`);
    expect([response.status, response.headers["connection"]]).toEqual([200, "close"]);
  });

  test("a method that the endpoint does not support is method_not_allowed", async () => {
    for (const method of ["PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "PROPFIND"]) {
      expect(codeOf(await send(method, "/v1/environments"))).toBe("method_not_allowed");
    }
  });
});

test.each([
  [
    "throws",
    () => {
      throw new Error("defect");
    },
  ],
  ["rejects", () => Promise.reject(new Error("defect"))],
])("a route that %s is a problem with a request id, and the defect is reported", async (_what, respond) => {
  const route = { path: "/broken", authentication: "none", respond } satisfies HostRoute;
  const broken = await startNodeServer(undefined, { routes: [route] });
  const response = await sendRaw(broken.url, requestHead("GET", "/broken"));
  await broken.connections.close();
  expect([response.status, codeOf(response)]).toEqual([500, "internal_error"]);
  expect(broken.failures).toEqual([new Error("defect")]);
});

test("a stopping server finishes in-flight requests and accepts no new ones", async () => {
  let release = (): void => undefined;
  const held = new Promise<void>((resolve) => (release = resolve));
  const slow = await startNodeServer(async () => {
    await held;
    return jsonResponse(200, { connections: [], hasNextPage: false });
  });
  const { key: slowKey } = await slow.issueKey();
  const arrived = once(slow.server, "request");
  const answered = fetch(`${slow.url}/v1/environments`, { headers: { authorization: `Bearer ${slowKey}` } });
  await arrived;
  const finished = slow.connections.finishRequests(10_000);
  await expect(openSocket(slow.url)).rejects.toThrow("ECONNREFUSED");
  release();
  expect((await answered).status).toBe(200);
  await finished;
  await slow.connections.close();
});

test("a client that disconnects cancels the upstream call", async () => {
  let cancelled: Promise<unknown> = Promise.resolve();
  let arrived = (): void => undefined;
  const calling = new Promise<void>((resolve) => (arrived = resolve));
  const waiting = await startNodeServer((_request, signal) => {
    cancelled = once(signal, "abort");
    arrived();
    return new Promise(() => undefined);
  });
  const { key: waitingKey } = await waiting.issueKey();
  const socket = await openSocket(waiting.url);
  socket.write(requestHead("GET", "/v1/environments", { authorization: `Bearer ${waitingKey}` }));
  await calling;
  socket.destroy();
  await cancelled;
  expect(await recordedStatus(waiting)).toBe(499);
  await waiting.connections.close();
});

test.each(["text/event-stream", "application/json"])(
  "a %s body that is a stream arrives chunk by chunk, and a client that disconnects cancels it",
  async (contentType) => {
    let source: ReadableStreamDefaultController<Uint8Array> | undefined;
    let onCancel = (): void => undefined;
    const cancelled = new Promise<void>((resolve) => (onCancel = resolve));
    const stream = new ReadableStream<Uint8Array>({
      start: (controller) => void (source = controller),
      cancel: onCancel,
    });
    const respond = () => ({ status: 200, headers: { "content-type": contentType }, body: null, stream });
    const streaming = await startNodeServer(undefined, {
      routes: [{ path: "/streamed", authentication: "none", respond }],
    });
    const socket = await openSocket(streaming.url);
    let received = "";
    socket.setEncoding("latin1").on("data", (text: string) => (received += text));
    socket.write(requestHead("GET", "/streamed"));
    for (const chunk of ["first", "second", "third"]) {
      source?.enqueue(new TextEncoder().encode(chunk));
      // The source produces the next chunk only after the client has this one, so nothing can wait for a full buffer.
      await expect.poll(() => received).toContain(`${chunk.length.toString(16)}\r\n${chunk}\r\n`);
    }
    expect(parseResponse(received)).toMatchObject({ status: 200, headers: { "content-type": contentType } });
    socket.destroy();
    await cancelled;
    expect(streaming.failures).toEqual([]);
    await streaming.connections.close();
  },
);

describe("slow clients", () => {
  test.each([
    ["a client with incomplete headers", "GET /livez HTTP/1.1\r\nhost: x\r\n"],
    [
      "a client with an incomplete body",
      requestHead("POST", "/v1/environments/c/messages", { "content-length": "10" }),
    ],
    [
      "a client that announces a chunk without end",
      `${requestHead("POST", "/v1/environments/c/messages", { "transfer-encoding": "chunked" })}FFFFFFFFFFFFFFFF\r\n{`,
    ],
  ])("%s gets 408, and the connection is closed", async (_how, text) => {
    const strict = await startNodeServer(undefined, { timeouts: { headersMs: 20, requestMs: 20, checkIntervalMs: 5 } });
    const { key: strictKey } = await strict.issueKey();
    const socket = await openSocket(strict.url);
    socket.write(text.replace("connection: close", `authorization: Bearer ${strictKey}`));
    const response = parseResponse(await readToEnd(socket));
    expect([response.status, codeOf(response)]).toEqual([408, "invalid_request"]);
    expect(strict.upstreamRequests).toEqual([]);
    await strict.connections.close();
  });
});

/** The status of the first request that is recorded. */
function recordedStatus({ events }: NodeServerUnderTest): Promise<number> {
  return new Promise((resolve) => {
    const look = (): void => {
      const event = events.find(({ type }) => type === "request");
      if (event?.type === "request") resolve(event.status);
      else setImmediate(look);
    };
    look();
  });
}
