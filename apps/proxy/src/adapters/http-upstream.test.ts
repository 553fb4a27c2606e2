import { once } from "node:events";
import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";
import { afterEach, expect, test } from "vitest";
import type { UpstreamRequest } from "../ports.ts";
import { createHttpUpstreamFetch } from "./http-upstream.ts";
import { failedBeforeSend } from "./http-upstream.ts";

const servers: Server[] = [];

afterEach(() => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    server.close();
  }
});

async function serve(listener: RequestListener): Promise<string> {
  const server = createServer(listener).listen(0, "127.0.0.1");
  servers.push(server);
  await once(server, "listening");
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

function request(overrides: Partial<UpstreamRequest> = {}): UpstreamRequest {
  return {
    method: "GET",
    path: "/v1/environments",
    query: "",
    headers: { accept: "application/json" },
    body: null,
    principal: {
      tenant: "t",
      keyId: "k",
      owner: "o",
      scopes: new Set(),
      deviceIds: null,
      connectionNames: null,
      agentIds: null,
      maxMode: null,
      shared: false,
    },
    ...overrides,
  };
}

function call(origin: string, overrides: Partial<UpstreamRequest> = {}, signal = new AbortController().signal) {
  const baseUrl = { origin, basePath: "/base" };
  const options = { baseUrl, maxResponseBytes: 1_000, fetch: globalThis.fetch, failedBeforeSend };
  return createHttpUpstreamFetch(options)(request(overrides), signal);
}

test("a request arrives as it was built, and its answer comes back whole", async () => {
  let seen: IncomingMessage | undefined;
  let text = "";
  const origin = await serve((incoming, outgoing) => {
    seen = incoming;
    incoming.setEncoding("utf8").on("data", (chunk: string) => (text += chunk));
    incoming.on("end", () => outgoing.writeHead(201, { "content-type": "application/json" }).end('{"a":"é"}'));
  });
  const response = await call(origin, {
    method: "POST",
    path: "/v1/environments/c%3A1/messages",
    query: "a=b",
    headers: { "content-type": "application/json", authorization: "Bearer x" },
    body: new TextEncoder().encode('{"b":"☂"}'),
  });
  expect(seen).toMatchObject({ method: "POST", url: "/base/v1/environments/c%3A1/messages?a=b" });
  expect(seen?.headers).toMatchObject({ authorization: "Bearer x", "content-type": "application/json" });
  expect(text).toBe('{"b":"☂"}');
  expect(response).toMatchObject({ status: 201, headers: { "content-type": "application/json" } });
  expect("body" in response && new TextDecoder().decode(response.body as Uint8Array)).toBe('{"a":"é"}');
});

test("a POST carries its length, and is sent once although its status 421 invites a repeat on another connection", async () => {
  const lengths: (string | undefined)[] = [];
  const origin = await serve((incoming, outgoing) => {
    lengths.push(incoming.headers["content-length"]);
    incoming.resume().on("end", () => outgoing.writeHead(421).end());
  });
  expect(await call(origin, { method: "POST", body: new Uint8Array(70_000) })).toMatchObject({ status: 421 });
  expect(lengths).toEqual(["70000"]);
});

test("a redirect is handed back, not followed", async () => {
  const paths: (string | undefined)[] = [];
  const origin = await serve((incoming, outgoing) => {
    paths.push(incoming.url);
    outgoing.writeHead(307, { location: "/elsewhere" }).end();
  });
  expect(await call(origin)).toMatchObject({ status: 307 });
  expect(paths).toEqual(["/base/v1/environments"]);
});

test.each([
  ["announced", (outgoing: Parameters<RequestListener>[1]) => outgoing.end("x".repeat(1_001))],
  [
    "in pieces",
    (outgoing: Parameters<RequestListener>[1]) => {
      for (let count = 0; count < 11; count++) outgoing.write("x".repeat(100));
    },
  ],
  [
    "grown from few compressed bytes",
    (outgoing: Parameters<RequestListener>[1]) => {
      outgoing.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync("x".repeat(100_000)));
    },
  ],
])("an answer over the limit is given up, %s", async (_how, answer) => {
  const origin = await serve((_incoming, outgoing) => {
    answer(outgoing);
  });
  expect(await call(origin)).toMatchObject({ reason: "too_large" });
});

test("an answer of exactly the limit is read", async () => {
  const origin = await serve((_incoming, outgoing) => void outgoing.end("x".repeat(1_000)));
  const response = await call(origin);
  expect("body" in response && response.body?.length).toBe(1_000);
});

test("an aborted call closes its connection to the upstream", async () => {
  const caller = new AbortController();
  let closed: Promise<unknown> | undefined;
  const origin = await serve((incoming) => {
    closed = once(incoming.socket, "close");
    caller.abort();
  });
  await call(origin, {}, caller.signal);
  await closed;
  expect(closed).toBeDefined();
});

test("a connection that nobody accepts has sent nothing", async () => {
  const origin = await serve(() => undefined);
  const [server] = servers.splice(0);
  await new Promise((resolve) => server?.close(resolve));
  expect(await call(origin)).toMatchObject({ reason: "unreachable" });
  expect(await call(origin, { method: "POST", body: new Uint8Array([1]) })).toMatchObject({ reason: "unreachable" });
});

test("a connection that is dropped without an answer, or within one, may have been acted upon", async () => {
  const silent = await serve((incoming) => void incoming.socket.destroy());
  expect(await call(silent, { method: "POST", body: new Uint8Array([1]) })).toMatchObject({ reason: "broken" });
  const halfway = await serve((incoming, outgoing) => {
    outgoing.writeHead(200, { "content-length": "100" }).write("x", () => incoming.socket.destroy());
  });
  expect(await call(halfway)).toMatchObject({ reason: "broken" });
});
