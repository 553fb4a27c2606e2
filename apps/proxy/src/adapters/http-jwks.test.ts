import { once } from "node:events";
import { createServer, type RequestListener, type Server } from "node:http";
import { afterEach, expect, test } from "vitest";
import { createHttpJwksFetch } from "./http-jwks.ts";

let server: Server | null = null;
afterEach(() => {
  server?.close().closeAllConnections();
});

async function fetchFrom(listener: RequestListener, signal = new AbortController().signal): Promise<string> {
  server = createServer(listener).listen(0, "127.0.0.1");
  await once(server, "listening");
  const address = server.address();
  const port = typeof address === "object" && address !== null ? address.port : 0;
  return createHttpJwksFetch(globalThis.fetch, "test")(`http://127.0.0.1:${port}/jwks`, signal);
}

test("a key set is read as text, and nothing about the gateway is sent but its name", async () => {
  let seen: readonly string[] = [];
  const text = await fetchFrom((incoming, outgoing) => {
    seen = [incoming.headers["user-agent"] ?? "", String(incoming.headers.authorization)];
    outgoing.end('{"keys":[]}');
  });
  expect([text, ...seen]).toEqual(['{"keys":[]}', "test", "undefined"]);
});

test("a redirect is not followed", async () => {
  const targets: (string | undefined)[] = [];
  const reading = fetchFrom((incoming, outgoing) => {
    targets.push(incoming.url);
    outgoing.writeHead(302, { location: "/elsewhere" }).end();
  });
  await expect(reading).rejects.toThrow("status");
  expect(targets).toEqual(["/jwks"]);
});

test.each([404, 500])("status %d is a failure", async (status) => {
  await expect(fetchFrom((_incoming, outgoing) => void outgoing.writeHead(status).end("{}"))).rejects.toThrow(
    String(status),
  );
});

test("an answer that is too large is left at the limit", async () => {
  const reading = fetchFrom((_incoming, outgoing) => void outgoing.end("x".repeat(300_000)));
  await expect(reading).rejects.toThrow("larger than 262144 bytes");
});

test("reading stops when it is no longer wanted", async () => {
  const controller = new AbortController();
  const reading = fetchFrom(() => controller.abort(), controller.signal);
  await expect(reading).rejects.toThrow(/abort/i);
});
