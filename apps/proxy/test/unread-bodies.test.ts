/** Responses to requests whose body has not arrived: the client receives them, also if it sends all of its body first. Over real sockets. */
import { once } from "node:events";
import type { ServerResponse } from "node:http";
import type { Socket } from "node:net";
import { jsonResponse } from "@letta-environments/schema";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { knownConnections } from "./support/known-connections.ts";
import { type NodeServerUnderTest, startNodeServer } from "./support/node-server.ts";
import { openSocket, parseResponse, readToEnd } from "./support/raw-http.ts";

const target = "/v1/environments/c/messages";
const message = { agentId: "a", messages: [{ role: "user", content: "x", client_message_id: "m" }] };
const json = JSON.stringify(message);
const part = "x".repeat(100_000);

let server: NodeServerUnderTest;
let key: string;
/** Resolves when the upstream may respond. */
let held: Promise<void>;
let result: { readonly success: boolean; readonly message: string };

beforeEach(async () => {
  held = Promise.resolve();
  result = { success: true, message: "ok" };
  const upstream = knownConnections(() => held.then(() => jsonResponse(200, result)));
  server = await startNodeServer(upstream);
  ({ key } = await server.issueKey({ scopes: ["send"] }));
});

afterEach(() => server.connections.close());

function head(length: number, fields: Readonly<Record<string, string>> = {}, path = target): string {
  const lines = Object.entries({ host: "gateway.example", "content-length": String(length), ...fields });
  return `POST ${path} HTTP/1.1\r\n${lines.map(([name, value]) => `${name}: ${value}\r\n`).join("")}\r\n`;
}

const withKey = (): Record<string, string> => ({ authorization: `Bearer ${key}`, "content-type": "application/json" });

/** Writes a text, and resolves also if the connection is closed. */
async function write(socket: Socket, text: string): Promise<void> {
  await new Promise<void>((resolve) => socket.write(text, () => void setImmediate(resolve)));
}

/** Resolves when the gateway has written its next response. */
function nextResponse(): Promise<void> {
  return new Promise((resolve) => {
    server.server.once("request", (_incoming, outgoing) => outgoing.once("finish", resolve));
  });
}

/** A client that reads nothing before it has sent all of its body, which takes longer than the gateway waits for it. */
async function sendSlowly(first: string, parts: number): Promise<string> {
  const socket = await openSocket(server.url);
  let isReset = false;
  socket.on("error", () => (isReset = true));
  const responded = nextResponse();
  socket.write(first);
  await responded;
  for (let sent = 0; sent < parts; sent++) await write(socket, part);
  return isReset ? "" : readToEnd(socket);
}

test.each([
  ["without a key", {}, target, 401],
  ["of a method that the path does not have", {}, "/livez", 405],
  ["to the administration", {}, "/admin/v1/keys", 401],
])(
  "a request %s is refused with Connection: close, and a client that sends 2 MB first receives it",
  async (_what, fields, path, status) => {
    const { status: received, headers } = parseResponse(await sendSlowly(head(20 * part.length, fields, path), 20));
    expect([received, headers["connection"]]).toEqual([status, "close"]);
  },
);

test("a body over the limit is 413 with Connection: close, and a client that sends all of it first receives it", async () => {
  const { status, headers } = parseResponse(await sendSlowly(head(30 * part.length, withKey()), 30));
  expect([status, headers["connection"]]).toEqual([413, "close"]);
});

/** A client that may go on sending when the gateway has closed its side, and the moment at which the gateway closes the connection. */
async function openHalfOpen(): Promise<{ readonly socket: Socket; readonly closed: Promise<void>; text: string }> {
  const closed = new Promise<void>((resolve) => {
    server.server.once("connection", (accepted) => accepted.once("close", () => resolve()));
  });
  const socket = await openSocket(server.url);
  socket.allowHalfOpen = true;
  const client = { socket, closed, text: "" };
  socket.on("error", () => undefined).on("data", (chunk: Buffer) => (client.text += chunk.toString("latin1")));
  return client;
}

test("the gateway closes its side of a connection with an unread body immediately, and the connection when the body is complete", async () => {
  const client = await openHalfOpen();
  client.socket.write(`${head(2)}{`);
  await once(client.socket, "end");
  expect(client.socket.writable).toBe(true);
  client.socket.end("}");
  await client.closed;
  expect(parseResponse(client.text).status).toBe(401);
});

test("a client that continues to send after the response is cut off after 4 MiB", async () => {
  const { socket, closed } = await openHalfOpen();
  const responded = nextResponse();
  socket.write(head(1_000_000_000));
  await responded;
  let sent = 0;
  for (; sent < 500 * part.length && socket.writable; sent += part.length) await write(socket, part);
  await closed;
  expect(sent).toBeLessThan(500 * part.length);
  socket.destroy();
});

test("a client that sends nothing more after the response is cut off after 5 s", async () => {
  const client = await openHalfOpen();
  const halfClosed = once(client.socket, "end");
  vi.useFakeTimers({ toFake: ["setTimeout"] });
  try {
    client.socket.write(`${head(2)}{`);
    await vi.waitUntil(() => vi.getTimerCount() > 0);
    vi.advanceTimersByTime(100);
    await halfClosed;
    let isClosed = false;
    void client.closed.then(() => (isClosed = true));
    vi.advanceTimersByTime(4_999);
    await new Promise((resolve) => void setImmediate(resolve));
    expect(isClosed).toBe(false);
    vi.advanceTimersByTime(1);
    await client.closed;
  } finally {
    vi.useRealTimers();
    client.socket.destroy();
  }
});

test("a request after an abandoned body is not processed", async () => {
  const client = await openHalfOpen();
  client.socket.write(`${head(2)}{`);
  await once(client.socket, "end");
  client.socket.end(`}${head(json.length, withKey())}${json}`);
  await client.closed;
  expect(client.text.match(/HTTP\/1\.1 \d+/g)).toEqual(["HTTP/1.1 401"]);
  expect(server.upstreamRequests).toEqual([]);
});

test("many refused requests with small bodies in separate packets share a connection", async () => {
  const socket = await openSocket(server.url);
  socket.setNoDelay(true);
  for (let count = 0; count < 20; count++) {
    await write(socket, head(json.length));
    await new Promise((resolve) => void setImmediate(resolve));
    socket.write(json);
    const [answer] = (await once(socket, "data")) as [Buffer];
    const { status, headers } = parseResponse(answer.toString("latin1"));
    expect([status, headers["connection"]]).toEqual([401, "keep-alive"]);
  }
  socket.destroy();
});

test.each([
  ["without a key", () => head(json.length, { expect: "100-continue" }), 401],
  ["with a body that is too large", () => head(9_999_999, { ...withKey(), expect: "100-continue" }), 413],
])("a request %s is refused without 100 Continue", async (_what, request, status) => {
  const socket = await openSocket(server.url);
  socket.write(request());
  const { status: first, headers } = parseResponse(await readToEnd(socket));
  expect([first, headers["connection"]]).toEqual([status, "close"]);
});

test("a valid request with Expect: 100-continue gets 100 Continue once, and one in HTTP/1.0 does not", async () => {
  for (const [version, interim] of [
    ["1.1", ["HTTP/1.1 100 Continue", "HTTP/1.1 200 OK"]],
    ["1.0", ["HTTP/1.1 200 OK"]],
  ] as const) {
    const socket = await openSocket(server.url);
    const text = readToEnd(socket);
    const fields = { ...withKey(), expect: "100-continue", connection: "close" };
    socket.write(head(json.length, fields).replace("HTTP/1.1", `HTTP/${version}`));
    if (version === "1.1") await once(socket, "data");
    socket.write(json);
    expect((await text).match(/HTTP\/1\.1 \d+ \w+/g)).toEqual(interim);
  }
});

const good = (): string => `${head(json.length, withKey())}${json}`;

test.each([
  ["without Host", "GET /v1/environments HTTP/1.1\r\n\r\n", 400],
  ["with two Hosts", "GET /v1/environments HTTP/1.1\r\nhost: a\r\nhost: b\r\n\r\n", 400],
  ["with an unknown expectation", head(json.length, { expect: "foo" }) + json, 417],
])(
  "a request after one %s, in the same packet, is not processed, because the refusal closes the connection",
  async (_what, refused, status) => {
    const socket = await openSocket(server.url);
    socket.write(refused + good());
    expect((await readToEnd(socket)).match(/HTTP\/1\.1 \d+/g)).toEqual([`HTTP/1.1 ${status}`]);
    expect(server.upstreamRequests).toEqual([]);
  },
);

test.each([
  [
    "a request whose body is not HTTP",
    `${head(9).replace(/content-length: 9/, "transfer-encoding: chunked")}zz\r\n`,
    ["200"],
  ],
  ["bytes that are not HTTP", "garbage garbage\r\n\r\n", ["200"]],
  ["a request without Host, and bytes that are not HTTP", "GET /livez HTTP/1.1\r\n\r\ngarbage\r\n\r\n", ["200", "400"]],
])("a running send gets its own response, complete, when %s follow it", async (_what, behind, statuses) => {
  const socket = await openSocket(server.url);
  socket.write(good() + behind);
  expect((await readToEnd(socket)).match(/(?<=HTTP\/1\.1 )\d+/g)).toEqual(statuses);
  expect(server.upstreamRequests.at(-1)?.method).toBe("POST");
});

test("invalid bytes after a request do not truncate a long response to a slow reader, in however many packets they arrive", async () => {
  result = { success: true, message: "x".repeat(3_000_000) };
  let release: () => void = () => undefined;
  held = new Promise((resolve) => (release = resolve));
  const request = new Promise<ServerResponse>((resolve) => {
    server.server.once("request", (_incoming, outgoing) => resolve(outgoing));
  });
  const socket = await openSocket(server.url);
  socket.pause();
  socket.write(good());
  const outgoing = await request;
  const refused = once(server.server, "clientError");
  socket.write("garbage\r\n\r\n");
  await refused;
  release();
  await vi.waitUntil(() => outgoing.headersSent);
  await write(socket, "more\r\n\r\n");
  socket.resume();
  expect((await readToEnd(socket)).length).toBeGreaterThan(result.message.length);
});

test("an unknown expectation gets exactly one response, whatever follows in the same packet", async () => {
  const socket = await openSocket(server.url);
  socket.write(`${head(0, { expect: "foo" })}garbage garbage\r\n\r\n`);
  expect((await readToEnd(socket)).match(/(?<=HTTP\/1\.1 )\d+/g)).toEqual(["417"]);
});

test("a refused request with Expect that Hono handles keeps the connection for the next send", async () => {
  const socket = await openSocket(server.url);
  const first = `DELETE /v1/environments/d HTTP/1.1\r\nhost: Gateway.Example\r\nexpect: 100-continue\r\n\r\n`;
  socket.write(first + good().replace("host", "connection: close\r\nhost"));
  expect((await readToEnd(socket)).match(/(?<=HTTP\/1\.1 )[2-9]\d+/g)).toEqual(["401", "200"]);
});

describe.each([
  [
    "an upgrade",
    "GET /v1/environments/c/socket HTTP/1.1\r\nhost: a\r\nconnection: upgrade\r\nupgrade: websocket\r\n" +
      "sec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
  ],
  ["a tunnel", "CONNECT a:443 HTTP/1.1\r\nhost: a:443\r\n\r\n"],
])("responses before %s that is ignored", (_what, ignored) => {
  const closed = (): Promise<void> =>
    new Promise((resolve) => {
      server.server.once("connection", (accepted) => accepted.once("close", () => resolve()));
    });

  test("an upgrade or tunnel behind a running send is ignored, the responses before it are written whole, and the connection closes", async () => {
    const isClosed = closed();
    const socket = await openSocket(server.url);
    socket.write(`${good()}${ignored}more`);
    expect((await readToEnd(socket)).match(/HTTP\/1\.1 \d+/g)).toEqual(["HTTP/1.1 200"]);
    await isClosed;
  });

  test("an upgrade or tunnel behind a refusal in the same packet is ignored, the responses before it are written whole, and the connection closes", async () => {
    const isClosed = closed();
    const socket = await openSocket(server.url);
    socket.write(`${good()}GET /v1/environments HTTP/1.1\r\n\r\n${ignored}more`);
    expect((await readToEnd(socket)).match(/HTTP\/1\.1 \d+/g)).toEqual(["HTTP/1.1 200", "HTTP/1.1 400"]);
    await isClosed;
  });

  test("an upgrade or tunnel behind an abandoned body is ignored, the responses before it are written whole, and the connection closes", async () => {
    const isClosed = closed();
    const socket = await openSocket(server.url);
    const received = readToEnd(socket);
    const second = new Promise<ServerResponse>((resolve) => {
      server.server.once("request", () => server.server.once("request", (_incoming, outgoing) => resolve(outgoing)));
    });
    let release: () => void = () => undefined;
    held = new Promise((resolve) => (release = resolve));
    socket.write(`${good()}${head(2)}{`);
    const outgoing = await second;
    await vi.waitUntil(() => outgoing.headersSent);
    const reached = Promise.race([once(server.server, "upgrade"), once(server.server, "connect")]);
    socket.write(`}${ignored}more`);
    await reached;
    release();
    expect((await received).match(/HTTP\/1\.1 \d+/g)).toEqual(["HTTP/1.1 200", "HTTP/1.1 401"]);
    await isClosed;
  });
});

test("a refused request that expects 100 Continue, but comes with its body, keeps the connection for the next request", async () => {
  const socket = await openSocket(server.url);
  socket.write(
    head(json.length, { expect: "100-continue" }) + json + good().replace("host", "connection: close\r\nhost"),
  );
  expect((await readToEnd(socket)).match(/HTTP\/1\.1 [2-9]\d+/g)).toEqual(["HTTP/1.1 401", "HTTP/1.1 200"]);
});

test.each([
  ["without Host", `POST ${target} HTTP/1.1\r\ncontent-length: ${20 * part.length}\r\n\r\n`, 400],
  ["with an unknown expectation", head(20 * part.length, { expect: "foo" }), 417],
])("a client that sends 2 MB in a request %s before it reads receives the refusal", async (_what, first, status) => {
  const socket = await openSocket(server.url);
  let isReset = false;
  socket.on("error", () => (isReset = true));
  socket.write(first);
  for (let sent = 0; sent < 20; sent++) await write(socket, part);
  expect(isReset).toBe(false);
  expect(parseResponse(await readToEnd(socket)).status).toBe(status);
});
