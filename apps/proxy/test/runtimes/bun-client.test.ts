/** The client for the upstream on Bun, beside that of Node: reads whose responses are coded, or say so. */
import { execFile } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { resolve } from "node:path";
import { promisify } from "node:util";
import { brotliCompressSync, deflateSync, gzipSync, zstdCompressSync } from "node:zlib";
import { createTestPrincipal } from "../support/create-test-principal.ts";
import { afterAll, beforeAll, expect, test } from "vitest";
import { createUpstreamPool } from "../../src/adapters/undici-client.ts";
import type { UpstreamRequest } from "../../src/ports.ts";
import { runtimeProgram } from "./runtime-commands.ts";

const text = JSON.stringify({ name: "n".repeat(200) });
const zeros = Buffer.alloc(100_000);

/** Bodies by the path at which they are, each with its content coding. */
const bodies: Readonly<Record<string, readonly [coding: string, body: Uint8Array | string]>> = {
  "/plain": ["identity", text],
  "/gzip": ["gzip", gzipSync(text)],
  "/x-gzip": ["x-gzip", gzipSync(text)],
  "/br": ["br", brotliCompressSync(text)],
  "/not-gzip": ["gzip", text],
  "/gzip-cut": ["gzip", gzipSync(text).subarray(0, -8)],
  "/br-cut": ["br", brotliCompressSync(text).subarray(0, -3)],
  "/twice": ["gzip, gzip", gzipSync(gzipSync(text))],
  "/deflate": ["deflate", deflateSync(text)],
  "/zstd": ["zstd", zstdCompressSync(text)],
  "/large": ["gzip", gzipSync(zeros)],
  "/large-plain": ["identity", zeros],
};

const codingsAccepted = new Set<unknown>();
const server = createServer(({ url = "", headers }, response) => {
  codingsAccepted.add(headers["accept-encoding"]);
  const [coding, body] = bodies[url] ?? ["", ""];
  response.writeHead(200, { "content-encoding": coding }).end(body);
});
let origin = "";
beforeAll(async () => {
  await once(server.listen(0, "127.0.0.1"), "listening");
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.closeAllConnections();
  server.close();
});

const request = { method: "GET", query: "", headers: {}, body: null, principal: createTestPrincipal() };
const options = { maxResponseBytes: 10_000, maxConnections: 4 };

/** Reads every body with the client of Node. */
async function readOnNode(): Promise<Record<string, unknown>> {
  const call = createUpstreamPool({ ...options, baseUrl: { origin, basePath: "" } });
  const results: Record<string, unknown> = {};
  for (const path of Object.keys(bodies)) {
    const read: UpstreamRequest = { ...request, path };
    const result = await call(read, new AbortController().signal);
    results[path] = "reason" in result ? result.reason : Buffer.from(result.body as Uint8Array).toString();
  }
  return results;
}

/** Reads every body with the client of Bun, in Bun. */
async function readOnBun(): Promise<unknown> {
  const program = `
    import { createUpstreamPool } from ${JSON.stringify(resolve(import.meta.dirname, "../../src/adapters/bun-client.ts"))};
    const call = createUpstreamPool(${JSON.stringify({ ...options, baseUrl: { origin, basePath: "" } })});
    const results = {};
    for (const path of ${JSON.stringify(Object.keys(bodies))}) {
      const result = await call({ ...${JSON.stringify(request)}, path }, new AbortController().signal);
      results[path] = result.reason ?? Buffer.from(result.body).toString();
    }
    console.log(JSON.stringify(results));
  `;
  const { stdout } = await promisify(execFile)(runtimeProgram("bun"), ["-e", program], { env: {} });
  return JSON.parse(stdout);
}

test("a response with a valid or mismatched content coding is handled on Bun as on Node", async () => {
  const onNode = await readOnNode();
  expect(onNode).toMatchObject({ "/gzip": text, "/not-gzip": "undecodable", "/large": "too_large" });
  expect(await readOnBun()).toEqual(onNode);
  expect([...codingsAccepted]).toEqual(["gzip, br"]);
}, 60_000);
