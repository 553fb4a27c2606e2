/** Request heads that never reach a step of the pipeline, and heads in HTTP/1.0, over real sockets. */
import { afterEach, beforeEach, expect, test } from "vitest";
import { jsonResponse } from "@letta-environments/schema";
import { type NodeServerUnderTest, startNodeServer } from "./support/node-server.ts";
import { openSocket, parseResponse, readToEnd, requestHead, sendRaw } from "./support/raw-http.ts";

let server: NodeServerUnderTest;

beforeEach(async () => {
  const list = jsonResponse(200, { connections: [], hasNextPage: false });
  server = await startNodeServer(() => Promise.resolve(list));
});

afterEach(async () => {
  await server.connections.close();
  if (server.failures.length > 0) throw new AggregateError(server.failures, "a failure that no request was told of");
});

test.each(["/livez", "/readyz", "/openapi.json"])(
  "a health check in HTTP/1.0 needs no Host: GET %s is 200",
  async (target) => {
    const response = await sendRaw(server.url, `GET ${target} HTTP/1.0\r\n\r\n`);
    expect(response).toMatchObject({ status: 200, headers: { connection: "close" } });
  },
);

test("a request of the API in HTTP/1.0 needs no Host", async () => {
  const { key } = await server.issueKey();
  const read = `GET /v1/environments HTTP/1.0\r\nauthorization: Bearer ${key}\r\n\r\n`;
  expect((await sendRaw(server.url, read)).status).toBe(200);
});

test("an upgrade in HTTP/1.0, which does not support upgrades, is ignored", async () => {
  const { key } = await server.issueKey();
  const fields = `connection: Upgrade\r\nupgrade: websocket\r\nauthorization: Bearer ${key}\r\n\r\n`;
  for (const target of ["/livez", "/v1/environments"]) {
    expect((await sendRaw(server.url, `GET ${target} HTTP/1.0\r\n${fields}`)).status).toBe(200);
  }
});

test("a request target over the size limit is 414, even with fields after it, and fields over the limit are 431", async () => {
  const [long, short] = [`/v1/environments?x=${"x".repeat(20_000)}`, "/v1/environments"];
  const statusOf = async (head: string): Promise<number> => (await sendRaw(server.url, head)).status;
  expect(await statusOf(requestHead("GET", long))).toBe(414);
  expect(await statusOf(requestHead("POST", `${long}%20`, { a: "x".repeat(20_000) }))).toBe(414);
  expect(await statusOf(requestHead("GET", short, { a: "x".repeat(20_000) }))).toBe(431);
  expect(await statusOf(requestHead("GET", long.slice(0, 10_000), { a: "x".repeat(10_000) }))).toBe(431);
});

test.each([
  ["bytes that are not HTTP", "hello\r\n\r\n"],
  ["a tunnel", "CONNECT x:443 HTTP/1.1\r\nhost: x:443\r\n\r\n"],
  ["a refused upgrade", requestHead("GET", "/v1/nothing", { connection: "upgrade", upgrade: "websocket" })],
])("the refusal of %s has a Date, like every other response", async (_what, head) => {
  const { status, headers } = await sendRaw(server.url, head);
  expect([status >= 400, Number.isFinite(Date.parse(headers["date"] ?? ""))]).toEqual([true, true]);
});

test.each([
  ["no Host", "GET", "/v1/environments", ""],
  ["a Host that cannot be read", "GET", "/v1/environments", "host: x/../y\r\n"],
  ["a target that cannot be read", "GET", "ftp://x/v1/environments", "host: x\r\n"],
  ["the method of a tunnel", "CONNECT", "x:443", "host: x\r\n"],
])(
  "a request with %s is logged once with the caller's request id, and web pages may read the API's refusal",
  async (_what, method, target, host) => {
    const pages = await startNodeServer(undefined, { config: { corsOrigins: ["https://page.example"] } });
    const fields = "x-request-id: a1\r\norigin: https://page.example\r\nconnection: close\r\n";
    const response = await sendRaw(pages.url, `${method} ${target} HTTP/1.1\r\n${host}${fields}\r\n`);
    await pages.connections.close();
    const { status, headers } = response;
    expect(headers["x-request-id"]).toBe("a1");
    const readers = target.startsWith("/v1") ? "https://page.example" : undefined;
    expect(headers["access-control-allow-origin"]).toBe(readers);
    expect(pages.events).toMatchObject([{ type: "request", requestId: "a1", method, status, operation: null }]);
    expect(status).toBe(method === "CONNECT" ? 405 : 400);
  },
);

test("OPTIONS * is 204 with Allow, and the connection can be reused", async () => {
  const socket = await openSocket(server.url);
  socket.write("OPTIONS * HTTP/1.1\r\nhost: x\r\n\r\n" + requestHead("GET", "/livez"));
  const text = await readToEnd(socket);
  const { status, headers } = parseResponse(text);
  expect([status, headers["allow"]]).toEqual([204, "GET, HEAD, POST, PATCH, DELETE, OPTIONS"]);
  expect(headers).toMatchObject({ "cache-control": "private, no-store", "x-content-type-options": "nosniff" });
  expect(server.events).toMatchObject([{ type: "request", method: "OPTIONS", status: 204 }, { method: "GET" }]);
  expect(text).toContain("HTTP/1.1 200 OK");
});
