/**
 * The requests that the gateway sends with the runtime's `fetch`: to the issuer of tokens for its key set, on Workers to the upstream, and on Bun reads
 * of the upstream. Otherwise `undici-client.ts` calls the upstream.
 */
import type { PlainHeaders } from "@letta-environments/schema";
import { readStream } from "../lib/read-stream.ts";
import type { JwksFetch, UpstreamFetch } from "../ports.ts";
import { type UpstreamBaseUrl, upstreamTarget } from "../upstream/settings.ts";

export interface HttpUpstreamOptions {
  readonly baseUrl: UpstreamBaseUrl;
  /** Maximum size of a response body, in bytes, after decompression. */
  readonly maxResponseBytes: number;
  /** The runtime's `fetch`. */
  readonly fetch: typeof globalThis.fetch;
}

/**
 * Creates an {@link UpstreamFetch} that calls a remote server with the runtime's `fetch`. It sends every request at most once. The errors of `fetch` do
 * not show whether anything was sent, so after every failure the upstream may have acted.
 */
export function createHttpUpstreamFetch(options: HttpUpstreamOptions): UpstreamFetch {
  const { baseUrl } = options;
  return async (request, signal) => {
    const url = baseUrl.origin + upstreamTarget(baseUrl, request.path, request.query);
    try {
      const response = await options.fetch(url, {
        method: request.method,
        redirect: "manual",
        ...(request.body === null ? { headers: request.headers } : oneShotBody(request.headers, request.body)),
        signal,
      });
      const body = await readStream(response.body, options.maxResponseBytes);
      if (body === null) return { reason: "too_large", cause: null };
      return { status: statusOf(response), headers: Object.fromEntries(response.headers), body };
    } catch (cause) {
      return { reason: "broken", cause };
    }
  };
}

/**
 * A body that can be read once, so that no `fetch` can repeat the request: Deno repeats a POST when a reused connection breaks, and the Fetch
 * standard repeats one after a 421, both only if they still have the body. With the length as a header, Node.js, Bun and workerd send
 * `Content-Length`; Deno ignores it and sends the body chunked, which every HTTP/1.1 server must accept (RFC 9112 section 7.1).
 */
function oneShotBody(headers: PlainHeaders, bytes: Uint8Array) {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(bytes);
      controller.close();
    },
  });
  // `duplex` must be `half` for a stream (Fetch standard section 5.4).
  return { headers: { ...headers, "content-length": String(bytes.byteLength) }, body, duplex: "half" } as const;
}

/** Returns the status of a response. Some runtimes report a redirect that is not followed as status 0. */
export function statusOf(response: Response): number {
  return response.type === "opaqueredirect" ? 302 : response.status;
}

/** The size limit of a key set, in bytes, after decompression. */
const maxKeySetBytes = 262_144;

/** Creates a {@link JwksFetch} with the runtime's `fetch`. It follows no redirect, because a redirect could lead to any host. */
export function createHttpJwksFetch(fetch: typeof globalThis.fetch, userAgent: string): JwksFetch {
  return async (url, signal) => {
    const response = await fetch(url, {
      headers: { accept: "application/jwk-set+json, application/json", "user-agent": userAgent },
      redirect: "manual",
      signal,
    });
    if (response.type === "opaqueredirect" || response.status !== 200) {
      await response.body?.cancel();
      throw new Error(`the issuer returned status ${response.status} for its key set`);
    }
    const bytes = await readStream(response.body, maxKeySetBytes);
    if (bytes === null) throw new Error(`the key set is larger than ${maxKeySetBytes} bytes`);
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  };
}
