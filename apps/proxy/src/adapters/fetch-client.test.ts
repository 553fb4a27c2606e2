import { once } from "node:events";
import { type IncomingMessage, type RequestListener, type Server, createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { gzipSync } from "node:zlib";
import { afterEach, describe, expect, test } from "vitest";
import type { UpstreamRequest } from "../ports.ts";
import { createHttpJwksFetch, createHttpUpstreamFetch } from "./fetch-client.ts";
import { createUpstreamPool } from "./undici-client.ts";

const clients = {
  "the pool": createUpstreamPool,
  fetch: (options: Parameters<typeof createUpstreamPool>[0]) =>
    createHttpUpstreamFetch({ ...options, fetch: globalThis.fetch }),
};

describe.each(Object.entries(clients))("requests to the upstream with %s", (name, createClient) => {
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
    return createClient({ baseUrl, maxResponseBytes: 1_000, maxConnections: 10 })(request(overrides), signal);
  }

  test("method, path, query, headers and body reach the upstream unchanged, and its response is returned completely", async () => {
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

  test("a POST has a Content-Length and is sent once, even after a 421, which `fetch` may repeat on another connection", async () => {
    const lengths: (string | undefined)[] = [];
    const origin = await serve((incoming, outgoing) => {
      lengths.push(incoming.headers["content-length"]);
      incoming.resume().on("end", () => outgoing.writeHead(421).end());
    });
    expect(await call(origin, { method: "POST", body: new Uint8Array(70_000) })).toMatchObject({ status: 421 });
    expect(lengths).toEqual(["70000"]);
  });

  test("an upstream redirect is returned and not followed", async () => {
    const paths: (string | undefined)[] = [];
    const origin = await serve((incoming, outgoing) => {
      paths.push(incoming.url);
      outgoing.writeHead(307, { location: "/elsewhere" }).end();
    });
    expect(await call(origin)).toMatchObject({ status: 307 });
    expect(paths).toEqual(["/base/v1/environments"]);
  });

  test.each([
    ["with a Content-Length", (outgoing: Parameters<RequestListener>[1]) => outgoing.end("x".repeat(1_001))],
    [
      "in chunks",
      (outgoing: Parameters<RequestListener>[1]) => {
        for (let count = 0; count < 11; count++) outgoing.write("x".repeat(100));
      },
    ],
    [
      "compressed",
      (outgoing: Parameters<RequestListener>[1]) => {
        outgoing.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync("x".repeat(100_000)));
      },
    ],
  ])("a response body over the size limit, %s, is too_large", async (_how, respond) => {
    const origin = await serve((_incoming, outgoing) => {
      respond(outgoing);
    });
    expect(await call(origin)).toMatchObject({ reason: "too_large" });
  });

  test("a compressed response is returned decompressed", async () => {
    const origin = await serve((incoming, outgoing) => {
      expect(incoming.headers["accept-encoding"]).toMatch(/gzip/);
      outgoing.writeHead(200, { "content-encoding": "gzip" }).end(gzipSync("hello"));
    });
    const response = await call(origin);
    expect("body" in response && new TextDecoder().decode(response.body as Uint8Array)).toBe("hello");
  });

  test("a response body of exactly the size limit is returned", async () => {
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

  test("a refused connection is unreachable if nothing can have been sent, otherwise broken", async () => {
    const origin = await serve(() => undefined);
    const [server] = servers.splice(0);
    await new Promise((resolve) => server?.close(resolve));
    const reason = name === "fetch" ? "broken" : "unreachable";
    expect(await call(origin)).toMatchObject({ reason });
    expect(await call(origin, { method: "POST", body: new Uint8Array([1]) })).toMatchObject({ reason });
  });

  test("a connection that closes before or during the response is broken, because the upstream may have acted", async () => {
    const silent = await serve((incoming) => void incoming.socket.destroy());
    expect(await call(silent, { method: "POST", body: new Uint8Array([1]) })).toMatchObject({ reason: "broken" });
    const halfway = await serve((incoming, outgoing) => {
      outgoing.writeHead(200, { "content-length": "100" }).write("x", () => incoming.socket.destroy());
    });
    expect(await call(halfway)).toMatchObject({ reason: "broken" });
  });
});

describe("requests for a key set", () => {
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

  test("a key set is returned as text, and the request reveals nothing about the gateway except its name", async () => {
    let seen: readonly string[] = [];
    const text = await fetchFrom((incoming, outgoing) => {
      seen = [incoming.headers["user-agent"] ?? "", String(incoming.headers.authorization)];
      outgoing.end('{"keys":[]}');
    });
    expect([text, ...seen]).toEqual(['{"keys":[]}', "test", "undefined"]);
  });

  test("a redirect from the issuer is not followed", async () => {
    const targets: (string | undefined)[] = [];
    const reading = fetchFrom((incoming, outgoing) => {
      targets.push(incoming.url);
      outgoing.writeHead(302, { location: "/elsewhere" }).end();
    });
    await expect(reading).rejects.toThrow("status");
    expect(targets).toEqual(["/jwks"]);
  });

  test.each([404, 500])("a key set with status %d is a failure", async (status) => {
    await expect(fetchFrom((_incoming, outgoing) => void outgoing.writeHead(status).end("{}"))).rejects.toThrow(
      String(status),
    );
  });

  test("a key set over the size limit is a failure", async () => {
    const reading = fetchFrom((_incoming, outgoing) => void outgoing.end("x".repeat(300_000)));
    await expect(reading).rejects.toThrow("larger than 262144 bytes");
  });

  test("an aborted signal stops the request for a key set", async () => {
    const controller = new AbortController();
    const reading = fetchFrom(() => controller.abort(), controller.signal);
    await expect(reading).rejects.toThrow(/abort/i);
  });
});
