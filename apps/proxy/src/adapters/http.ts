/** The requests that the gateway sends with the runtime's `fetch`: to the upstream, and to the issuer of tokens for its key set. */
import type { PlainHeaders } from "@letta-environments/schema";
import { readStream } from "../lib/read-stream.ts";
import type { JwksFetch, UpstreamFetch } from "../ports.ts";
import { type UpstreamBaseUrl, upstreamUrl } from "../upstream/settings.ts";

/** Settings of the adapter. */
export interface HttpUpstreamOptions {
  readonly baseUrl: UpstreamBaseUrl;
  /** Maximum size of a response body, in bytes, after decompression. */
  readonly maxResponseBytes: number;
  /** The runtime's `fetch`. */
  readonly fetch: typeof globalThis.fetch;
  /** Whether that `fetch` failed before it sent anything. */
  readonly failedBeforeSend: (cause: unknown) => boolean;
}

/** Members of a `RequestInit` that go together. `duplex` must be `half` for a stream (Fetch standard section 5.4). */
type OneShotBody = Required<Pick<RequestInit, "headers" | "body">> & { readonly duplex: "half" };

/** Creates an {@link UpstreamFetch} that calls a remote server with the runtime's `fetch`. It sends every request at most once. */
export function createHttpUpstreamFetch(options: HttpUpstreamOptions): UpstreamFetch {
  return async (request, signal) => {
    const url = upstreamUrl(options.baseUrl, request.path, request.query);
    let response: Response;
    try {
      response = await options.fetch(url, {
        method: request.method,
        redirect: "manual",
        ...(request.body === null ? { headers: request.headers } : oneShotBody(request.headers, request.body)),
        signal,
      });
    } catch (cause) {
      return { reason: options.failedBeforeSend(cause) ? "unreachable" : "broken", cause };
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

/**
 * A body that can be read once, so that no `fetch` can repeat the request: Deno repeats a POST when a reused connection breaks, and the Fetch
 * standard repeats one after a 421, both only if they still have the body. With the length as a header, Node.js, Bun and workerd send
 * `Content-Length`; Deno ignores it and sends the body chunked, which every HTTP/1.1 server must accept (RFC 9112 section 7.1).
 */
function oneShotBody(headers: PlainHeaders, bytes: Uint8Array): OneShotBody {
  const body = new ReadableStream<Uint8Array>({
    start(controller) {
      controller.enqueue(bytes);
      controller.close();
    },
  });
  return { headers: { ...headers, "content-length": String(bytes.byteLength) }, body, duplex: "half" };
}

/** Some runtimes report a redirect that is not followed as status 0. */
function statusOf(response: Response): number {
  return response.type === "opaqueredirect" ? 302 : response.status;
}

function headersOf(response: Response): PlainHeaders {
  return Object.fromEntries(response.headers);
}

/** Codes of failures before a connection is established: DNS, routing, refusal and TLS handshake (Node.js, undici, OpenSSL, Bun). */
const unsentCode =
  /^(?:ECONNREFUSED|ENOTFOUND|EAI_[A-Z]+|EHOSTUNREACH|ENETUNREACH|EADDRNOTAVAIL|UND_ERR_CONNECT_TIMEOUT|EPROTO|ERR_TLS_[A-Z_]+|ERR_SSL_[A-Z_0-9]+|CERT_[A-Z_]+|DEPTH_ZERO_SELF_SIGNED_CERT|SELF_SIGNED_CERT_IN_CHAIN|UNABLE_TO_[A-Z_]+|ConnectionRefused)$/;

/**
 * Returns whether a `fetch` failed before it sent anything, so that repeating the request is safe. Failures that are not
 * listed count as sent.
 */
export function failedBeforeSend(cause: unknown): boolean {
  for (let error = cause, depth = 0; error instanceof Error && depth < 8; error = error.cause, depth++) {
    if (error instanceof AggregateError && error.errors.length > 0) return error.errors.every(failedBeforeSend);
    // `fetch` blocks some ports (Fetch standard section 2.9).
    if (error.message === "bad port") return true;
    if ("code" in error && typeof error.code === "string") return unsentCode.test(error.code);
  }
  return false;
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
