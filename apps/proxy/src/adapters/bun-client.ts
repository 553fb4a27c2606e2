/**
 * The upstream HTTP client on Bun, used instead of `undici-client.ts`: reads use Bun's `fetch`, which needs half as much CPU, and everything else
 * uses the pool. Errors of `fetch` do not show whether anything was sent, and it may repeat a request; neither matters for a read.
 */
import process from "node:process";
import type { UpstreamFetch } from "../ports.ts";
import { acceptedEncodings, decode } from "./content-coding.ts";
import { createHttpUpstreamFetch } from "./fetch-client.ts";
import { createUpstreamPool as createPool, type UpstreamPoolOptions } from "./undici-client.ts";

/** Bun runs up to 256 `fetch` calls at a time. The rest are for the key sets of issuers. */
const maxReads = 128;

/** Variables with which Bun's `fetch` would send requests to a proxy. The pool ignores them. */
const proxyVariables = ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy"];

/** Creates an {@link UpstreamFetch} that opens no more connections than the pool alone would. */
export function createUpstreamPool(options: UpstreamPoolOptions): UpstreamFetch {
  if (proxyVariables.some((name) => process.env[name] !== undefined)) return createPool(options);
  const reads = Math.min(maxReads, Math.floor(options.maxConnections / 2));
  const pool = createPool({ ...options, maxConnections: options.maxConnections - reads });
  return withReadClient(pool, createReadClient(options), reads);
}

/** Turns off decoding, because decoding errors of `fetch` look like connection errors. Only Bun has the option `decompress`. */
const encoded: object = { decompress: false };

function createReadClient({ baseUrl, maxResponseBytes }: UpstreamPoolOptions): UpstreamFetch {
  const fetchEncoded = (input: string | URL | Request, init?: RequestInit): Promise<Response> =>
    globalThis.fetch(input, { ...init, ...encoded });
  const read = createHttpUpstreamFetch({ baseUrl, maxResponseBytes, fetch: fetchEncoded });
  return async (request, signal, progress) => {
    const headers = { ...request.headers, ...acceptedEncodings };
    const result = await read({ ...request, headers }, signal, progress);
    return "reason" in result ? result : decode(result, maxResponseBytes);
  };
}

/** Sends up to `limit` concurrent reads with one client, and everything else with the pool. */
export function withReadClient(pool: UpstreamFetch, readClient: UpstreamFetch, limit: number): UpstreamFetch {
  let reads = 0;
  return async (request, signal, progress) => {
    if (request.method !== "GET" || reads >= limit) return pool(request, signal, progress);
    reads += 1;
    try {
      return await readClient(request, signal, progress);
    } finally {
      reads -= 1;
    }
  };
}
