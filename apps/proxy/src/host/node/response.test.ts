import { once } from "node:events";
import { createServer, get, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { expect, test } from "vitest";
import { sendResponse } from "./response.ts";

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
    sendResponse({ beginStream: () => undefined }, incoming, outgoing, {
      status: 200,
      headers: {},
      body: null,
      stream,
    });
  }).listen(0, "127.0.0.1");
  await once(server, "listening");
  get(`http://127.0.0.1:${(server.address() as AddressInfo).port}`, (message) => void message.resume());
  const outgoing = await waited.promise;
  expect(outgoing.listenerCount("close") + outgoing.listenerCount("drain")).toBeLessThan(10);
  outgoing.destroy();
  server.close();
});
