import type { PlainHeaders } from "@letta-environments/schema";
import type { UpstreamFailure, UpstreamFetch } from "../ports.ts";
import { type UpstreamBaseUrl, upstreamUrl } from "../upstream/upstream-base-url.ts";
import { concatenate } from "./web/concatenate.ts";

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
    const body = await readBody(response, options.maxResponseBytes);
    return body instanceof Uint8Array ? { status: statusOf(response), headers: headersOf(response), body } : body;
  };
}

/** Reads no further than the limit: a length that is announced can lie, and a compressed answer grows. */
async function readBody(response: Response, limitBytes: number): Promise<Uint8Array | UpstreamFailure> {
  const chunks: Uint8Array[] = [];
  let length = 0;
  try {
    if (response.body === null) return new Uint8Array();
    // Leaving the loop early cancels the stream, and with it the connection.
    for await (const chunk of response.body) {
      length += chunk.byteLength;
      if (length > limitBytes) return { reason: "too_large", cause: null };
      chunks.push(chunk);
    }
  } catch (cause) {
    return { reason: "broken", cause };
  }
  return concatenate(chunks, length);
}

/** Some runtimes hide a redirect that is not followed behind status 0. */
function statusOf(response: Response): number {
  return response.type === "opaqueredirect" ? 302 : response.status;
}

function headersOf(response: Response): PlainHeaders {
  return Object.fromEntries(response.headers);
}
