import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { startStream } from "./stream.ts";

test("a stream for which there is no room is cancelled, and the page that asked can read why", async () => {
  const cancelled = Promise.withResolvers<undefined>();
  const stream = new ReadableStream<Uint8Array>({ cancel: () => cancelled.resolve(undefined) });
  const page = "https://page.example";
  const headers = { "x-request-id": "req-1", vary: "Origin", "access-control-allow-origin": page, etag: '"a"' };
  const server = createServer((incoming, outgoing) =>
    startStream({ admitStream: () => false }, incoming, outgoing, { status: 200, headers, body: null, stream }),
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
