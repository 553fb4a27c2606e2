/** The pool, unlike `fetch`, reports whether any byte of a request was sent. `http.test.ts` tests both clients. */
import { once } from "node:events";
import { createServer, type IncomingMessage, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";
import { systemClock } from "@letta-environments/platform/node";
import { afterEach, describe, expect, onTestFinished, test, vi } from "vitest";
import { createTestPrincipal } from "../../test/support/create-test-principal.ts";
import type { UpstreamRequest } from "../ports.ts";
import { createUpstreamPool } from "./undici-client.ts";

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
  return `127.0.0.1:${(server.address() as AddressInfo).port}`;
}

const send: UpstreamRequest = {
  method: "POST",
  path: "/v1/environments/c/messages",
  query: "",
  headers: {},
  body: new Uint8Array([123, 125]),
  principal: createTestPrincipal(),
};

const never = new AbortController().signal;

function createPool(origin: string, maxConnections = 1): ReturnType<typeof createUpstreamPool> {
  return createUpstreamPool({ baseUrl: { origin, basePath: "" }, maxResponseBytes: 1_000, maxConnections });
}

describe("failures before anything was sent", () => {
  test("a host name that does not exist is unreachable", async () => {
    expect(await createPool("http://nothing.invalid")(send, never)).toMatchObject({ reason: "unreachable" });
  });

  test("a TLS handshake that fails is unreachable", async () => {
    const address = await serve(() => undefined);
    expect(await createPool(`https://${address}`)(send, never)).toMatchObject({ reason: "unreachable" });
  });

  test("a request that had ended before it was sent is unreachable", async () => {
    const seen: IncomingMessage[] = [];
    const address = await serve((incoming) => void seen.push(incoming));
    expect(await createPool(`http://${address}`)(send, AbortSignal.abort())).toMatchObject({ reason: "unreachable" });
    expect(seen).toEqual([]);
  });

  test("a request that ends while it waits for a connection is unreachable, and it is not sent later", async () => {
    const paths: (string | undefined)[] = [];
    const ready = Promise.withResolvers<() => void>();
    const address = await serve((incoming, outgoing) => {
      paths.push(incoming.url);
      if (incoming.url === "/first") ready.resolve(() => void outgoing.end());
      else outgoing.end();
    });
    const call = createPool(`http://${address}`);
    const first = call({ ...send, path: "/first" }, never);
    const respond = await ready.promise;
    const caller = new AbortController();
    const second = call({ ...send, path: "/second" }, caller.signal);
    caller.abort();
    expect(await second).toMatchObject({ reason: "unreachable" });
    respond();
    expect(await first).toMatchObject({ status: 200 });
    expect(await call({ ...send, path: "/third" }, never)).toMatchObject({ status: 200 });
    expect(paths).toEqual(["/first", "/third"]);
  });
});

test("a request that ends after it was sent is broken, because the upstream may have acted", async () => {
  const caller = new AbortController();
  const address = await serve(() => caller.abort());
  expect(await createPool(`http://${address}`)(send, caller.signal)).toMatchObject({ reason: "broken" });
});

test("an unsolicited 100 Continue has its own error, and other interim responses are skipped", async () => {
  const interim = (line: string): RequestListener => {
    return (_incoming, outgoing) => {
      outgoing.socket?.write(`HTTP/1.1 ${line}\r\n\r\n`);
      outgoing.end("{}");
    };
  };
  const continuing = createPool(`http://${await serve(interim("100 Continue"))}`);
  for (const request of [send, { ...send, method: "GET", body: null }, send]) {
    expect(await continuing(request, never)).toMatchObject({ reason: "unexpected_continue" });
  }
  const hinting = createPool(`http://${await serve(interim("103 Early Hints"))}`);
  expect(await hinting(send, never)).toMatchObject({ status: 200 });
});

test.each([
  ["an unknown content coding", "new", "x"],
  ["a list of codings", "gzip, br", "x"],
  ["a body that does not match its content coding", "gzip", "x"],
  ["an encoded body that breaks off", "gzip", gzipSync("x".repeat(100)).subarray(0, 20)],
])("a response with %s is undecodable, which does not count as a connection failure", async (_what, coding, body) => {
  const address = await serve((_incoming, outgoing) => {
    outgoing.writeHead(200, { "content-encoding": coding }).end(body);
  });
  expect(await createPool(`http://${address}`)(send, never)).toMatchObject({ reason: "undecodable" });
});

test.each([
  ["identity, gzip", gzipSync("{}")],
  ["GZIP ,identity", gzipSync("{}")],
  ["identity, identity", "{}"],
  ["Identity", "{}"],
])("identity in the list of content codings means nothing: %s", async (coding, body) => {
  const address = await serve((_incoming, outgoing) => {
    outgoing.writeHead(200, { "content-encoding": coding }).end(body);
  });
  const result = await createPool(`http://${address}`)(send, never);
  expect("body" in result && new TextDecoder().decode(result.body as Uint8Array)).toBe("{}");
});

test("requests use at most as many connections as are allowed", async () => {
  let open = 0;
  let most = 0;
  const address = await serve((_incoming, outgoing) => void outgoing.end());
  servers[0]?.on("connection", (socket) => {
    most = Math.max(most, (open += 1));
    socket.once("close", () => (open -= 1));
  });
  const call = createPool(`http://${address}`, 3);
  const results = await Promise.all(Array.from({ length: 20 }, () => call(send, never)));
  expect(results.every((result) => "status" in result && result.status === 200)).toBe(true);
  expect(most).toBeLessThanOrEqual(3);
});

test("a connection accepts no new requests after five minutes of use, and finishes its current ones", async () => {
  const ports: (number | undefined)[] = [];
  const held = Promise.withResolvers<() => void>();
  const address = await serve((incoming, outgoing) => {
    ports.push(incoming.socket.remotePort);
    if (incoming.url === "/held") held.resolve(() => void outgoing.end());
    else outgoing.end();
  });
  const call = createPool(`http://${address}`);
  for (let count = 0; count < 2; count++) expect(await call(send, never)).toMatchObject({ status: 200 });
  const slow = call({ ...send, path: "/held" }, never);
  const release = await held.promise;
  const waiting = call(send, never);
  const later = systemClock.monotonic() + 300_000;
  const monotonic = vi.spyOn(systemClock, "monotonic").mockReturnValue(later);
  onTestFinished(() => monotonic.mockRestore());
  expect(await call(send, never)).toMatchObject({ status: 200 });
  release();
  for (const sent of [slow, waiting]) expect(await sent).toMatchObject({ status: 200 });
  const [old, , , current] = ports;
  expect(ports).toEqual([old, old, old, current, old]);
  expect(current).not.toBe(old);
});
