/** Bodies that the HTTP server itself refuses, after the gateway has begun to handle their requests. */
import { once } from "node:events";
import type { Socket } from "node:net";
import { expect, onTestFinished, test } from "vitest";
import { createMemoryKeyStore } from "../src/adapters/memory/key-store.ts";
import { startNodeServer } from "./support/node-server.ts";
import { openSocket, parseResponse, readToEnd, requestHead } from "./support/raw-http.ts";
import { issueTestKey } from "./support/test-proxy.ts";

test.each([
  ["does not arrive in time", 408, { "content-length": "100" }, '{"agentId":'],
  ["has a malformed chunk", 400, { "transfer-encoding": "chunked" }, "2\r\n{ \r\nZZ\r\n"],
] satisfies [string, number, Record<string, string>, string][])(
  "the log has the status and the request id of the response to a request whose body %s",
  async (_flaw, status, framing, body) => {
    const timeouts = status === 408 ? { headersMs: 100, requestMs: 100, checkIntervalMs: 5 } : {};
    const server = await startNodeServer(undefined, { timeouts });
    onTestFinished(() => server.connections.close());
    const { key } = await server.issueKey();
    const headers = { authorization: `Bearer ${key}`, "content-type": "application/json", "x-request-id": "body-1" };
    const socket = await openSocket(server.url);
    const handled = once(server.server, "request");
    socket.write(requestHead("POST", "/v1/environments/c/messages", { ...headers, ...framing }));
    await handled;
    socket.write(body);
    const response = parseResponse(await readToEnd(socket));
    expect([response.status, response.headers["x-request-id"]]).toEqual([status, "body-1"]);
    await expect.poll(() => server.events).toHaveLength(1);
    expect(server.events).toMatchObject([
      { type: "request", requestId: "body-1", status, errorCode: "invalid_request" },
    ]);
    expect(server.upstreamRequests).toEqual([]);
  },
);

/** Starts a send whose body breaks off, and resolves once its key is looked up, which takes until `respond` is called. */
async function beginSend() {
  const keyStore = createMemoryKeyStore();
  const [asked, held] = [Promise.withResolvers<void>(), Promise.withResolvers<void>()];
  const find: typeof keyStore.find = async (id) => {
    asked.resolve();
    await held.promise;
    return keyStore.find(id);
  };
  const server = await startNodeServer(undefined, { ports: { keyStore: { ...keyStore, find } } });
  onTestFinished(() => server.connections.close());
  const { key } = await issueTestKey(keyStore, server.clock);
  const socket = await openSocket(server.url);
  const fields = { authorization: `Bearer ${key}`, "content-type": "application/json", "transfer-encoding": "chunked" };
  socket.write(requestHead("POST", "/v1/environments/c/messages", fields));
  await asked.promise;
  return { ...server, socket, respond: () => held.resolve() };
}

test.each([
  ["malformed", 400, (socket: Socket) => void socket.write("2\r\n{ \r\nZZ\r\n")],
  ["not complete when its caller closes its side", 499, (socket: Socket) => void socket.end("2\r\n{ \r\n")],
])(
  "the log has the status of a request whose body was refused before the gateway read it: %s",
  async (_body, status, sendBody) => {
    const { events, respond, socket } = await beginSend();
    const response = readToEnd(socket);
    sendBody(socket);
    expect(parseResponse(await response).status).toBe(400);
    respond();
    await expect.poll(() => events).toHaveLength(1);
    expect(events).toMatchObject([{ type: "request", status }]);
  },
);
