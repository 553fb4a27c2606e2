import type { PlainHeaders } from "@letta-environments/schema";
import type { UpstreamFetch } from "../ports.ts";
import { type UpstreamBaseUrl, upstreamUrl } from "../upstream/upstream-base-url.ts";
import { readStream } from "../lib/read-stream.ts";

/** What the adapter is told. */
export interface HttpUpstreamOptions {
  readonly baseUrl: UpstreamBaseUrl;
  /** Largest answer that is read, in bytes, after decompression. */
  readonly maxResponseBytes: number;
  /** The runtime's `fetch`. */
  readonly fetch: typeof globalThis.fetch;
  /** Whether a failure of that `fetch` tells that nothing of the request left. */
  readonly isSurelyUnsent: (cause: unknown) => boolean;
}

/** Calls a server elsewhere with the web's `fetch`, the same on every runtime. */
export function createHttpUpstreamFetch(options: HttpUpstreamOptions): UpstreamFetch {
  return async (request, signal) => {
    const url = upstreamUrl(options.baseUrl, request.path, request.query);
    let response: Response;
    try {
      response = await options.fetch(url, {
        method: request.method,
        headers: request.headers,
        body: request.body === null ? null : Uint8Array.from(request.body),
        redirect: "manual",
        signal,
      });
    } catch (cause) {
      return { reason: options.isSurelyUnsent(cause) ? "unreachable" : "broken", cause };
    }
    try {
      const body = await readStream(response.body, options.maxResponseBytes);
      if (body === null) return { reason: "too_large", cause: null };
      return { status: statusOf(response), headers: headersOf(response), body };
    } catch (cause) {
      return { reason: "broken", cause };
    }
  };
}

/** Some runtimes hide a redirect that is not followed behind status 0. */
function statusOf(response: Response): number {
  return response.type === "opaqueredirect" ? 302 : response.status;
}

function headersOf(response: Response): PlainHeaders {
  return Object.fromEntries(response.headers);
}
