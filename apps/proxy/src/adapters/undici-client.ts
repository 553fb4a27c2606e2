/**
 * The gateway's HTTP client for its upstream on Node.js and Deno, and on Bun for all but reads: a pool of connections of undici. Unlike `fetch`, it
 * shows whether a request was handed to a connection, so a failure before that is certain to have sent nothing: a name that is not found, a refused
 * connection, a failed TLS handshake, no free file descriptor, or the end of the request while it waited for a connection.
 */
import type { PlainHeaders, PlainResponse } from "@letta-environments/schema";
import { atTurnEnd, systemClock } from "@letta-environments/platform/node";
import type { Dispatcher, Pool } from "undici";
import { concatenate } from "../lib/read-stream.ts";
import { acceptedEncodings, decode } from "./content-coding.ts";
import type { UpstreamFailure, UpstreamFetch, UpstreamProgress, UpstreamRequest } from "../ports.ts";
import { type UpstreamBaseUrl, upstreamTarget } from "../upstream/settings.ts";

export interface UpstreamPoolOptions {
  readonly baseUrl: UpstreamBaseUrl;
  /** Maximum size of a response body, in bytes, after decompression. */
  readonly maxResponseBytes: number;
  /** Maximum number of connections. Requests beyond it wait. */
  readonly maxConnections: number;
}

/** How long DNS, TCP and TLS may take together, in milliseconds. */
const connectTimeoutMs = 5_000;

/** Maximum keep-alive of an idle connection if the upstream announces one, in milliseconds. Otherwise it is 4 seconds. */
const maxIdleMs = 60_000;

/** How long connections are used for new requests, in milliseconds. Without a limit, busy connections would hide a new address of the upstream. */
const maxAgeMs = 300_000;

/** Creates an {@link UpstreamFetch} that keeps connections to a remote server and sends each request at most once. The first request loads undici. */
export function createUpstreamPool(options: UpstreamPoolOptions): UpstreamFetch {
  const { baseUrl, maxResponseBytes } = options;
  let UndiciPool: typeof Pool | null = null;
  let pool: Pool | null = null;
  let openedAtMs = 0;

  function currentPool(Undici: typeof Pool): Pool {
    const nowMs = systemClock.monotonic();
    if (pool !== null && nowMs - openedAtMs < maxAgeMs) return pool;
    const old = pool;
    // The old pool still gets the requests of this turn, and finishes them.
    if (old !== null) atTurnEnd(() => void old.close());
    openedAtMs = nowMs;
    return (pool = openPool(Undici, options));
  }

  return async (request, signal, progress = { isSent: true }) => {
    progress.isSent = false;
    const path = upstreamTarget(baseUrl, request.path, request.query);
    UndiciPool ??= (await import("undici/lib/dispatcher/pool.js")).default;
    return dispatch(currentPool(UndiciPool), path, request, { signal, progress, maxResponseBytes });
  };
}

function openPool(Undici: typeof Pool, { baseUrl, maxConnections }: UpstreamPoolOptions): Pool {
  return new Undici(baseUrl.origin, {
    connections: maxConnections,
    pipelining: 1,
    connect: { timeout: connectTimeoutMs },
    keepAliveMaxTimeout: maxIdleMs,
    // The signal of each request enforces its timeout.
    headersTimeout: 0,
    bodyTimeout: 0,
  });
}

interface DispatchContext {
  readonly signal: AbortSignal;
  readonly progress: UpstreamProgress;
  readonly maxResponseBytes: number;
}

/** Sends a request and collects the response. */
function dispatch(
  pool: Pool,
  path: string,
  { method, headers, body }: UpstreamRequest,
  { signal, progress, maxResponseBytes }: DispatchContext,
): Promise<PlainResponse | UpstreamFailure> {
  return new Promise((resolve) => {
    /** Set when the request is handed to a connection. From then on it counts as sent. */
    let sending: Dispatcher.DispatchController | null = null;
    let isSettled = false;
    let status = 0;
    let responseHeaders: PlainHeaders = {};
    const chunks: Uint8Array[] = [];
    let length = 0;

    function settle(result: Parameters<typeof resolve>[0]): void {
      isSettled = true;
      signal.removeEventListener("abort", onAbort);
      resolve(result);
    }
    function fail(cause: unknown): void {
      if (!isSettled) settle({ reason: sending === null ? "unreachable" : reasonOf(cause), cause });
    }
    function onAbort(): void {
      fail(signal.reason);
      sending?.abort(new Error("the request was aborted"));
    }

    if (signal.aborted) return fail(signal.reason);
    signal.addEventListener("abort", onAbort, { once: true });
    const options = {
      method: method as Dispatcher.HttpMethod,
      path,
      headers: { ...headers, ...acceptedEncodings },
      body,
    };
    const handler: Dispatcher.DispatchHandler = {
      // undici writes the request when this returns. If it throws, nothing is written.
      onRequestStart(controller) {
        if (isSettled) throw new Error("the request was aborted before it was sent");
        if (sending !== null) throw new Error("the request was sent before");
        sending = controller;
        progress.isSent = true;
      },
      onResponseStart(_controller, statusCode, rawHeaders) {
        status = statusCode;
        responseHeaders = joinHeaders(rawHeaders);
      },
      onResponseData(controller, chunk) {
        length += chunk.byteLength;
        if (length <= maxResponseBytes) {
          chunks.push(chunk);
          return;
        }
        if (!isSettled) settle({ reason: "too_large", cause: null });
        controller.abort(new Error("the response is too large"));
      },
      onResponseEnd() {
        if (isSettled) return;
        const response = { status, headers: responseHeaders, body: concatenate(chunks, length) };
        settle(decode(response, maxResponseBytes));
      },
      onResponseError: (_controller, cause) => fail(cause),
    };
    atTurnEnd(() => {
      if (!isSettled) pool.dispatch(options, handler);
    });
  });
}

/**
 * Returns why a request failed after it was sent. undici closes the connection when it receives `100 Continue`, although a client must be able to
 * skip it (RFC 9110 section 15.2), and has no setting for it. A running request gets this error for no other reason (`onHeadersComplete` in its
 * `client-h1.js`).
 */
function reasonOf(cause: unknown): UpstreamFailure["reason"] {
  const isRefusedContinue = cause instanceof Error && "code" in cause && cause.code === "UND_ERR_SOCKET";
  return isRefusedContinue && cause.message === "bad response" ? "unexpected_continue" : "broken";
}

/** Joins the values of repeated fields (RFC 9110 section 5.3). */
function joinHeaders(headers: Readonly<Record<string, string | readonly string[] | undefined>>): PlainHeaders {
  const joined: Record<string, string> = {};
  for (const name in headers) {
    const value = headers[name];
    if (value !== undefined) joined[name] = typeof value === "string" ? value : value.join(", ");
  }
  return joined;
}
