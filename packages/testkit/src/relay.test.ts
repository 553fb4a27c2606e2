import { once } from "node:events";
import { afterEach, expect, test } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { createFakeUpstream } from "./fake-upstream.ts";
import { createRelay } from "./relay.ts";

const closers: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closers.splice(0).toReversed()) await close();
});

test("requests are forwarded with the relay's own authority and recorded with their status", async () => {
  const upstream = await createFakeUpstream((_, response) => response.writeHead(418).end("short"));
  const relay = await createRelay(upstream.url);
  closers.push(upstream.close, relay.close);
  const response = await fetch(`${relay.url}/a%2Fb?c=d`, { method: "POST", body: "hello" });
  expect([response.status, await response.text()]).toEqual([418, "short"]);
  expect(upstream.seen[0]).toMatchObject({ method: "POST", target: "/a%2Fb?c=d", body: "hello" });
  expect(upstream.seen[0]?.headers.host).toBe(new URL(relay.url).host);
  expect(relay.requests).toEqual([{ method: "POST", path: "/a%2Fb?c=d", status: 418 }]);
});

test("frames are forwarded both ways and recorded, and the close code reaches the other side", async () => {
  const server = new WebSocketServer({ port: 0, host: "127.0.0.1" });
  await once(server, "listening");
  closers.push(() => server.close());
  server.on("connection", (socket) =>
    socket.on("message", () => {
      socket.send('{"type":"answer"}');
      socket.close(4001, "done");
    }),
  );
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  const relay = await createRelay(`http://127.0.0.1:${port}`);
  closers.push(relay.close);
  const socket = new WebSocket(relay.url.replace("http", "ws"));
  const closed = once(socket, "close");
  await once(socket, "open");
  socket.send('{"type":"question"}');
  expect((await closed)[0]).toBe(4001);
  expect([relay.fromDevice.frames, relay.fromServer.frames]).toEqual([[{ type: "question" }], [{ type: "answer" }]]);
});

test("a refused upgrade is refused with the same status", async () => {
  const upstream = await createFakeUpstream((_, response) => response.writeHead(401).end());
  const relay = await createRelay(upstream.url);
  closers.push(upstream.close, relay.close);
  const socket = new WebSocket(relay.url.replace("http", "ws"));
  socket.on("error", () => undefined);
  const [, response] = (await once(socket, "unexpected-response")) as [unknown, { readonly statusCode: number }];
  expect(response.statusCode).toBe(401);
});
