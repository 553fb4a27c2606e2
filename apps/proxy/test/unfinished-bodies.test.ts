/** The memory of bodies that have not arrived completely, over real sockets. */
import { randomBytes } from "node:crypto";
import type { Socket } from "node:net";
import { createMemoryBudget } from "@letta-environments/environment-server";
import { jsonResponse, type Problem } from "@letta-environments/schema";
import { afterEach, beforeEach, expect, test } from "vitest";
import { createConsoleSessions } from "../src/console/sessions.ts";
import { createBodyBudget } from "../src/http/body-memory.ts";
import { createMemoryKeyStore } from "../src/adapters/memory/key-store.ts";
import { systemClock } from "@letta-environments/platform/node";
import { knownConnections } from "./support/known-connections.ts";
import { type NodeServerUnderTest, startNodeServer } from "./support/node-server.ts";
import { openSocket, parseResponse, type RawResponse, readToEnd, requestHead } from "./support/raw-http.ts";
import { testDigests, testPepper } from "./support/test-proxy.ts";

/** A key may have four bodies of 100 kB, and all keys together eight. */
const limits = { maxOwnerBytes: 450_000, maxTotalBytes: 850_000 };
const part = " ".repeat(100_000);
const half = " ".repeat(50_000);

let server: NodeServerUnderTest;
let memory = createBodyBudget(createMemoryBudget, limits).unfinished;

beforeEach(async () => {
  const bodyMemory = createBodyBudget(createMemoryBudget, limits);
  memory = bodyMemory.unfinished;
  const upstream = knownConnections(() => Promise.resolve(jsonResponse(200, { success: true, message: "ok" })));
  const keyStore = createMemoryKeyStore();
  const ports = { clock: systemClock, digests: testDigests, keyStore, pepper: testPepper, randomBytes };
  const consoleSessions = createConsoleSessions(
    { ...ports, keyStoreFor: () => keyStore, telemetry: () => undefined },
    {
      ...{ publicUrl: null, version: "1.0.0", servesDevices: false, servesExtensions: true, isAdministered: true },
      deviceVersion: "0.32.18",
    },
  );
  const config = { passThrough: true };
  server = await startNodeServer(upstream, { ports: { bodyMemory, consoleSessions }, config });
});

afterEach(() => server.connections.close());

interface Begun {
  readonly socket: Socket;
  readonly response: Promise<RawResponse>;
}

/** Begins a send with the first part of its body, and waits until that is counted. */
async function begin(
  key: string,
  first = part,
  headers: Record<string, string> = { "content-length": "200000" },
): Promise<Begun> {
  const before = memory.totalBytes;
  const socket = await openSocket(server.url);
  const response = readToEnd(socket).then(parseResponse);
  const head = requestHead("POST", "/v1/environments/c/messages", { authorization: `Bearer ${key}`, ...headers });
  socket.write(head + ("transfer-encoding" in headers ? `30d40\r\n${first}` : first));
  await expect.poll(() => memory.totalBytes).not.toBe(before);
  return { socket, response };
}

const issueKeys = async (count: number): Promise<string[]> =>
  Promise.all(Array.from({ length: count }, async () => (await server.issueKey({ scopes: ["send", "control"] })).key));
const body = JSON.stringify({ messages: [{ role: "user", content: "x", client_message_id: "m-1" }], agentId: "a" });

/** Sends a message whose body is there at once. */
async function send(key: string): Promise<number> {
  const length = String(Buffer.byteLength(body));
  const headers = { authorization: `Bearer ${key}`, "content-length": length };
  const socket = await openSocket(server.url);
  socket.write(requestHead("POST", "/v1/environments/c/messages", headers) + body);
  return parseResponse(await readToEnd(socket)).status;
}

test("the unfinished bodies of one key are limited: 503 overloaded, the connection closes, and other keys are served", async () => {
  const [greedy = "", modest = ""] = await issueKeys(2);
  const other = await begin(modest);
  const bodies: Begun[] = [];
  for (let count = 0; count < 4; count++) bodies.push(await begin(greedy));
  const socket = await openSocket(server.url);
  const refused = readToEnd(socket).then(parseResponse);
  const headers = { authorization: `Bearer ${greedy}`, "content-length": "1000000" };
  socket.write(requestHead("POST", "/v1/environments/c/messages", headers) + part.repeat(2));
  const { status, headers: fields, body: problem } = await refused;
  expect([status, fields["retry-after"], fields["x-should-retry"]]).toEqual([503, "1", "true"]);
  expect((JSON.parse(problem) as Problem).errorCode).toBe("overloaded");
  expect(memory.totalBytes).toBeLessThan(limits.maxOwnerBytes + 110_000);
  expect(await send(modest)).toBe(200);
  other.socket.write(" ".repeat(200_000 - part.length - body.length) + body);
  expect((await other.response).status).toBe(200);
  for (const { socket: open } of bodies) open.destroy();
  await expect.poll(() => memory.totalBytes).toBe(0);
});

test("when all keys together have too many unfinished bodies, the key with the most loses one", async () => {
  const [first = "", second = "", modest = ""] = await issueKeys(3);
  const bodies: Begun[] = [];
  for (const key of [first, first, first, first, second, second, second, second]) bodies.push(await begin(key));
  const other = await begin(modest, half);
  const refused = await Promise.race(bodies.map(({ response }) => response));
  expect(refused.status).toBe(503);
  other.socket.write(" ".repeat(200_000 - half.length - body.length) + body);
  expect((await other.response).status).toBe(200);
  for (const { socket } of bodies) socket.destroy();
  await expect.poll(() => memory.totalBytes).toBe(0);
});

test.each([
  ["a gateway key", async () => (await issueKeys(1))[0] ?? ""],
  ["an upstream key that the upstream has accepted", () => Promise.resolve("sk-accepted")],
])("callers with made-up upstream keys share the memory of one, and %s keeps its own", async (_what, keyOf) => {
  const key = await keyOf();
  expect(await send(key)).toBe(200);
  const bodies = [await begin(key), await begin(key), await begin(key)];
  const madeUp: Begun[] = [];
  for (let count = 0; count < 4; count++) madeUp.push(await begin(`sk-made-up-${count}`));
  // With these two, all together would have too much, and the key the most.
  for (let count = 4; count < 6; count++) {
    const socket = await openSocket(server.url);
    madeUp.push({ socket, response: readToEnd(socket).then(parseResponse) });
    const headers = { authorization: `Bearer sk-made-up-${count}`, "content-length": "200000" };
    socket.write(requestHead("POST", "/v1/environments/c/messages", headers) + part);
  }
  const refused = await Promise.race([...bodies, ...madeUp].map(({ response }) => response));
  expect(refused.status).toBe(503);
  for (const { socket, response } of bodies) {
    socket.write(" ".repeat(200_000 - part.length - body.length) + body);
    expect((await response).status).toBe(200);
  }
  for (const { socket } of madeUp) socket.destroy();
  await expect.poll(() => memory.totalBytes).toBe(0);
});

test("unfinished bodies of sign-ins are limited together, even in tiny parts: 503 overloaded", async () => {
  const origin = { host: "127.0.0.1", origin: "http://127.0.0.1", "sec-fetch-site": "same-origin" };
  const headers = { ...origin, "content-type": "application/json", "content-length": "1000" };
  const sockets = await Promise.all(Array.from({ length: 4 }, () => openSocket(server.url)));
  const responses = sockets.map((socket) => readToEnd(socket.setNoDelay(true)).then(parseResponse));
  let isRefused = false;
  for (const socket of sockets) {
    socket.once("data", () => (isRefused = true));
    socket.write(requestHead("POST", "/console/session", headers));
  }
  for (let sent = 0; sent < 1_000 && !isRefused; sent++) {
    for (const socket of sockets) socket.write(" ");
    await new Promise((resolve) => void setImmediate(resolve));
  }
  expect(await Promise.race(responses)).toMatchObject({ status: 503, body: expect.stringContaining("overloaded") });
  for (const socket of sockets) socket.destroy();
  await expect.poll(() => memory.totalBytes).toBe(0);
});

test("the memory of a body is released when it is complete, too large, or abandoned by its client", async () => {
  const [key = ""] = await issueKeys(1);
  const complete = await begin(key);
  complete.socket.write(" ".repeat(200_000 - part.length - body.length) + body);
  expect((await complete.response).status).toBe(200);
  expect(memory.totalBytes).toBe(0);
  const streamed = await begin(key, part, { "transfer-encoding": "chunked" });
  streamed.socket.destroy();
  await expect.poll(() => memory.totalBytes).toBe(0);
  const large = await openSocket(server.url);
  const response = readToEnd(large).then(parseResponse);
  const headers = { authorization: `Bearer ${key}`, "transfer-encoding": "chunked" };
  large.write(`${requestHead("POST", "/v1/environments/c/stop", headers)}30d40\r\n${part}${half}`);
  expect((await response).status).toBe(413);
  expect(memory.totalBytes).toBe(0);
});

test("a body that arrives in tiny chunks counts with the overhead of each chunk", async () => {
  const [key = ""] = await issueKeys(1);
  const socket = await openSocket(server.url);
  socket.setNoDelay(true);
  const response = readToEnd(socket).then(parseResponse);
  const headers = { authorization: `Bearer ${key}`, "content-length": "200000" };
  socket.write(requestHead("POST", "/v1/environments/c/messages", headers));
  let isRefused = false;
  socket.once("data", () => (isRefused = true));
  for (let sent = 0; sent < 2_000 && !isRefused; sent++) {
    socket.write(" ");
    await new Promise((resolve) => void setImmediate(resolve));
  }
  expect((await response).status).toBe(503);
});
