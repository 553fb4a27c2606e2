/** Which web pages may call the gateway, and the header fields that let them read its responses. */
import type { PlainHeaders, PlainResponse } from "@letta-environments/schema";
import type { GatewayRequest } from "./gateway-request.ts";

const apiPrefix = "/v1/";

/** How long a browser may cache a preflight response, in seconds. */
const maxAgeSeconds = 600;

const exposedHeaders =
  "x-request-id, retry-after, x-should-retry, idempotency-replayed, preference-applied, x-message-deduplication, etag, date, age, cache-status, ratelimit, ratelimit-policy, ratelimit-degraded";

/** Headers that the official SDK adds to each request in versions 1.7 to 1.12. Some browsers let it set User-Agent. */
const sdkHeaders =
  "user-agent, x-project, x-project-id, x-stainless-arch, x-stainless-lang, x-stainless-os, x-stainless-package-version, " +
  "x-stainless-retry-count, x-stainless-runtime, x-stainless-runtime-version, x-stainless-timeout";

/**
 * The response to a preflight. `allow-headers` lists every request header that a page may send; pages with OpenTelemetry add `traceparent` and
 * `tracestate` (W3C Trace Context).
 */
const preflightHeaders: PlainHeaders = {
  "access-control-allow-methods": "GET, POST, PATCH, DELETE",
  "access-control-allow-headers": `authorization, content-type, idempotency-key, prefer, x-request-id, if-match, if-none-match, cache-control, last-event-id, traceparent, tracestate, ${sdkHeaders}`,
  "access-control-max-age": String(maxAgeSeconds),
};

/** Lets every page read a response that needs no key and is the same for everyone. */
export const publicCorsHeaders: PlainHeaders = {
  "access-control-allow-origin": "*",
  "access-control-expose-headers": "x-request-id, retry-after, etag",
};

/** The CORS protocol (Fetch standard, section 3.3) for the API, with an exact list of allowed origins. */
export interface Cors {
  /** Returns the response to a preflight from an allowed origin, which has no key; `null` for every other request. */
  preflight(request: GatewayRequest): PlainResponse | null;
  /** Adds the headers that let a page of an allowed origin read the response. */
  decorate(response: PlainResponse, request: GatewayRequest): PlainResponse;
  /** Whether pages of an origin may call. Browsers do not apply the CORS protocol to WebSockets. */
  allowsOrigin(origin: string): boolean;
}

/**
 * Creates a {@link Cors}. Responses never allow credentials: a page sends its key itself, so no other page can use it. They
 * always have `Vary: Origin`, because a cache in front could otherwise serve one page's permission to another page.
 */
export function createCors(origins: readonly string[]): Cors {
  if (origins.length === 0) {
    return { preflight: () => null, decorate: (response) => response, allowsOrigin: () => false };
  }
  const listed: ReadonlySet<string> = new Set(origins);
  return {
    allowsOrigin: (origin) => listed.has(origin),
    preflight(request) {
      if (request.method !== "OPTIONS" || !request.path.startsWith(apiPrefix)) return null;
      const origin = request.header("origin");
      if (origin === null || !listed.has(origin)) return null;
      if (request.header("access-control-request-method") === null) return null;
      return { status: 204, headers: preflightHeaders, body: null };
    },
    decorate(response, request) {
      if (!request.path.startsWith(apiPrefix)) return response;
      const origin = request.header("origin");
      const { vary, ...rest } = response.headers;
      const headers = { ...rest, vary: vary === undefined ? "Origin" : `${vary}, Origin` };
      if (origin === null || !listed.has(origin)) return { ...response, headers };
      return {
        ...response,
        headers: { ...headers, "access-control-allow-origin": origin, "access-control-expose-headers": exposedHeaders },
      };
    },
  };
}
