/** The content coding that `createOriginFetch` states is that of the body, whatever the `fetch` of the runtime decodes. */
import { execFile } from "node:child_process";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import process from "node:process";
import { promisify } from "node:util";
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from "node:zlib";
import { expect, onTestFinished, test, vi } from "vitest";
import { createCacheMiddleware, createOriginFetch } from "../src/rfc9111.ts";
import { env, runtimes } from "./runtimes/commands.ts";

const text = "hello ".repeat(100);
const encoders: Readonly<Record<string, (bytes: Uint8Array) => Uint8Array>> = {
  br: brotliCompressSync,
  deflate: deflateSync,
  gzip: gzipSync,
  "x-gzip": gzipSync,
  zstd: zstdCompressSync,
};
const codings = [...Object.keys(encoders), "gzip, br", "deflate, gzip", "br,zstd"];

async function listen(): Promise<string> {
  const server = createServer(({ url = "" }, response) => {
    const coding = decodeURIComponent(url.slice(1));
    const body = coding
      .split(/, ?/)
      .reduce<Uint8Array>((bytes, name) => encoders[name]?.(bytes) ?? bytes, Buffer.from(text));
    response.writeHead(200, { "content-encoding": coding }).end(body);
  });
  onTestFinished(() => void server.close());
  await new Promise<void>((listening) => void server.listen(0, "127.0.0.1", listening));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
}

test.each<[keyof typeof runtimes, string[]]>([
  ["Node.js", codings],
  ["Bun", Object.keys(encoders)],
  ["Deno", ["br", "gzip"]],
])("on %s, a body has the content codings that its Content-Encoding names", async (runtime, decoded) => {
  const program = join(import.meta.dirname, "runtimes", "content-codings.ts");
  const [command, ...words] = runtimes[runtime];
  const args = [...words, program, await listen(), JSON.stringify(codings), text];
  const { stdout } = await promisify(execFile)(command, args, { env, timeout: 60_000 });
  const expected = codings.map((coding) => [
    coding,
    decoded.includes(coding) ? ["decoded", null] : ["encoded", coding],
  ]);
  expect(JSON.parse(stdout)).toEqual(Object.fromEntries(expected));
});

test.each([
  ["Node.js 20", { undici: "6.24.1" }, ["br", "deflate", "gzip", "x-gzip", "gzip, br", "deflate, gzip"]],
  ["Node.js 24.3", { undici: "7.10.0" }, ["br", "deflate", "gzip", "x-gzip", "gzip, br", "deflate, gzip"]],
  ["Node.js 24.4", { undici: "7.11.0" }, codings],
  ["Workers", { undici: "" }, ["br", "gzip"]],
  ["a runtime without versions", {}, ["br", "gzip"]],
])(
  "on %s, a coding is removed from Content-Encoding only if the runtime's fetch decodes it",
  async (_, versions, decoded) => {
    vi.stubGlobal("process", Object.create(process, { versions: { value: versions } }));
    const removed: string[] = [];
    for (const coding of codings) {
      const headers = { "content-encoding": coding };
      const next = createOriginFetch({ origin: "http://127.0.0.1", fetch: async () => new Response("x", { headers }) });
      const response = await next(new Request("https://example.test"));
      if (!response.headers.has("content-encoding")) removed.push(coding);
    }
    vi.unstubAllGlobals();
    expect(removed.toSorted()).toEqual(decoded.toSorted());
  },
);

test("a range of a resource that the origin would encode applies to the unencoded bytes", async () => {
  const seen: (string | null)[] = [];
  const fetchOnce: typeof fetch = async (_url, init) => {
    seen.push(new Headers(init?.headers).get("accept-encoding"));
    return new Response("ell", { status: 206, headers: { "content-range": "bytes 1-3/5" } });
  };
  const next = createOriginFetch({ origin: "http://127.0.0.1", fetch: fetchOnce });
  const headers = { "accept-encoding": "gzip, br" };
  await next(new Request("https://example.test", { headers: { ...headers, range: "bytes=1-3" } }));
  await next(new Request("https://example.test", { headers }));
  expect(seen).toEqual(["identity", "gzip, br"]);
});

test.each([
  ["gzip", '"a"', 'W/"a"'],
  ["gzip", 'W/"a"', 'W/"a"'],
  ["new", '"a"', '"a"'],
])("the entity tag of a decoded body is weak, since its bytes differ: %s, %s", async (coding, etag, expected) => {
  const headers = { "content-encoding": coding, etag };
  const next = createOriginFetch({ origin: "http://127.0.0.1", fetch: async () => new Response("x", { headers }) });
  expect((await next(new Request("https://example.test"))).headers.get("etag")).toBe(expected);
});

test("a 304 with the strong entity tag of the encoded body validates the stored decoded body", async () => {
  const statuses: number[] = [];
  const next = createOriginFetch({
    origin: "http://127.0.0.1",
    async fetch(_url, init) {
      const status = new Headers(init?.headers).has("if-none-match") ? 304 : 200;
      statuses.push(status);
      const coding = status === 200 ? { "content-encoding": "gzip" } : {};
      const headers = { etag: '"a"', "cache-control": "max-age=0", ...coding };
      return new Response(status === 200 ? "hello" : null, { status, headers });
    },
  });
  const cached = createCacheMiddleware();
  for (let read = 0; read < 3; read++) {
    const response = await cached(new Request("https://example.test"), next);
    expect([response.status, await response.text(), response.headers.get("etag")]).toEqual([200, "hello", 'W/"a"']);
  }
  expect(statuses).toEqual([200, 304, 304]);
});

test.each([undefined, 'W/"a"'])(
  "a 304 has neither the Content-Encoding nor the Content-Length of the encoded body (If-None-Match: %s)",
  async (tag) => {
    const next = createOriginFetch({
      origin: "http://127.0.0.1",
      fetch: async () =>
        new Response(null, {
          status: 304,
          headers: { etag: '"a"', "content-encoding": "gzip", "content-length": "20" },
        }),
    });
    const request = new Request("https://example.test", { headers: tag === undefined ? {} : { "if-none-match": tag } });
    const { headers } = await next(request);
    expect([...headers]).toEqual([["etag", tag ?? '"a"']]);
  },
);
