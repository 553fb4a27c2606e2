/** Bodies that the HTTP server itself refuses, after the gateway has begun to handle their requests. */
import { once } from "node:events";
import { expect, onTestFinished, test } from "vitest";
import { startNodeServer } from "./support/node-server.ts";
import { openSocket, parseResponse, readToEnd, requestHead } from "./support/raw-http.ts";

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
