/** Connections of callers at Node's HTTP server: closed on one side, and too many of them. */
import { once } from "node:events";
import type { Socket } from "node:net";
import { jsonResponse, type PlainResponse } from "@letta-environments/schema";
import { describe, expect, test } from "vitest";
import { startNodeServer } from "./support/node-server.ts";
import { openSocket, parseResponse, type RawResponse, readToEnd, requestHead } from "./support/raw-http.ts";

describe("clients that close their side of the connection after the request", () => {
  async function ask(url: string, key: string): Promise<RawResponse> {
    const socket = await openSocket(url);
    socket.end(requestHead("GET", "/v1/environments", { authorization: `Bearer ${key}` }));
    return parseResponse(await readToEnd(socket));
  }

  test("a client that closes its side of the connection after its request still receives the response", async () => {
    const respond = Promise.withResolvers<PlainResponse>();
    const { url, issueKey, server, connections } = await startNodeServer(() => respond.promise);
    const closing = Promise.withResolvers<undefined>();
    server.on("connection", (socket: Socket) => socket.on("end", () => closing.resolve(undefined)));
    const response = ask(url, (await issueKey()).key);
    await closing.promise;
    respond.resolve(jsonResponse(200, { connections: [], hasNextPage: false }));
    expect((await response).status).toBe(200);
    await connections.close();
  });

  test("a client that closes its side of the connection counts as disconnected after two seconds", async () => {
    const cancelled = Promise.withResolvers<undefined>();
    const { url, issueKey, connections } = await startNodeServer((_request, signal) => {
      signal.addEventListener("abort", () => cancelled.resolve(undefined));
      return new Promise(() => undefined);
    });
    void ask(url, (await issueKey()).key);
    expect(await cancelled.promise).toBeUndefined();
    await connections.close();
  });
});

test("connections over the limit get 503 and are closed, even without a request, and sockets and streams of events are refused earlier", async () => {
  const { url, issueKey, events, connections } = await startNodeServer(undefined, {
    maxConnections: 10,
    config: { corsOrigins: ["https://page.example"] },
  });
  const { key } = await issueKey({ scopes: ["list", "connect"] });
  const [device, reader] = [await openSocket(url), await openSocket(url)];
  const others = await Promise.all(Array.from({ length: 8 }, () => openSocket(url)));
  expect(await readToEnd(await openSocket(url))).toBe("");
  const refused = await openSocket(url);
  const page = { authorization: `Bearer ${key}`, origin: "https://page.example" };
  refused.write(requestHead("GET", "/v1/environments", page));
  expect(parseResponse(await readToEnd(refused))).toMatchObject({
    status: 503,
    headers: { "retry-after": "1", connection: "close", "access-control-allow-origin": "https://page.example" },
  });
  const probe = await openSocket(url);
  probe.write(requestHead("GET", "/livez"));
  expect(parseResponse(await readToEnd(probe))).toMatchObject({ status: 200, headers: { connection: "close" } });
  const headers = { authorization: `Bearer ${key}`, connection: "upgrade", upgrade: "websocket" };
  device.write(requestHead("GET", "/v1/environments/c/ws", headers));
  expect(parseResponse(await readToEnd(device))).toMatchObject({ status: 503, headers: { "retry-after": "1" } });
  reader.write(requestHead("GET", "/v1/environments/events", page));
  expect(parseResponse(await readToEnd(reader))).toMatchObject({
    status: 503,
    headers: { "retry-after": "1", connection: "close", "access-control-allow-origin": "https://page.example" },
  });
  expect(events).not.toContainEqual(expect.objectContaining({ operation: "streamEvents" }));
  for (const other of others) other.destroy();
  await connections.close();
});

test("health checks are served although silent and waiting connections use the whole limit", async () => {
  const { url, connections, server } = await startNodeServer(undefined, { maxConnections: 1 });
  const silent: Socket[] = [];
  for (let count = 0; count < 17; count++) {
    const accepted = once(server, "connection");
    silent.push(await openSocket(url));
    await accepted;
  }
  const probe = await openSocket(url);
  probe.write(requestHead("GET", "/livez"));
  expect(parseResponse(await readToEnd(probe))).toMatchObject({ status: 200 });
  // The connection within the limit is not closed for it.
  expect(silent[0]?.destroyed).toBe(false);
  silent[0]?.write(requestHead("GET", "/livez"));
  expect(parseResponse(await readToEnd(silent[0] ?? probe))).toMatchObject({ status: 200 });
  await connections.close();
});
