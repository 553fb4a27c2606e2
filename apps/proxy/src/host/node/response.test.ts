import { once } from "node:events";
import { createServer, get, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { sendResponse } from "./response.ts";

test("a stream over the limit is cancelled, and the web page that requested it can read the reason", async () => {
  const cancelled = Promise.withResolvers<undefined>();
  const stream = new ReadableStream<Uint8Array>({ cancel: () => cancelled.resolve(undefined) });
  const page = "https://page.example";
  const headers = { "x-request-id": "req-1", vary: "Origin", "access-control-allow-origin": page, etag: '"a"' };
  const server = createServer((incoming, outgoing) =>
    sendResponse({ admitStream: () => false }, incoming, outgoing, { status: 200, headers, body: null, stream }),
  ).listen(0, "127.0.0.1");
  await once(server, "listening");
  const response = await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}`);
  expect([response.status, response.headers.get("retry-after"), response.headers.get("etag")]).toEqual([
    503,
    "1",
    null,
  ]);
  expect(response.headers.get("access-control-allow-origin")).toBe(page);
  expect(response.headers.get("vary")).toBe("Origin");
  expect(await cancelled.promise).toBeUndefined();
  server.close();
});

test("a stream that waits for its reader again and again keeps no listener for each wait", async () => {
  const waited = Promise.withResolvers<ServerResponse>();
  const server = createServer((incoming, outgoing) => {
    let waits = 0;
    outgoing.on("drain", () => (waits += 1));
    const stream = new ReadableStream<Uint8Array>({
      pull(controller) {
        if (waits < 50) return controller.enqueue(new Uint8Array(65_536));
        waited.resolve(outgoing);
      },
    });
    sendResponse({ admitStream: () => true }, incoming, outgoing, { status: 200, headers: {}, body: null, stream });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  get(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, (message) => void message.resume());
  const outgoing = await waited.promise;
  expect(outgoing.listenerCount("close") + outgoing.listenerCount("drain")).toBeLessThan(10);
  outgoing.destroy();
  server.close();
});
