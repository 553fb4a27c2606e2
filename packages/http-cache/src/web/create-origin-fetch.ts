import { withoutConnectionFields } from "../fields/connection-fields.ts";
import type { Next } from "./create-cache-middleware.ts";
import { toHeaderRecord, toHeaders } from "./web-headers.ts";

/** Where an origin is. */
export interface OriginFetchOptions {
  /** Such as `http://127.0.0.1:8000`; path and query come from the request. */
  readonly origin: string;
  /** Default: that of the runtime. */
  readonly fetch?: typeof globalThis.fetch;
}

/** Codings that `fetch` undoes without saying so. */
const decodedCodings: ReadonlySet<string> = new Set(["br", "deflate", "gzip", "x-gzip", "zstd"]);

/**
 * Forwards requests to one origin with `fetch`: follows no redirect, keeps back what belongs to a connection, and tells no coding or length that
 * the decoded body does not have any longer.
 */
export function createOriginFetch(options: OriginFetchOptions): Next {
  const call = options.fetch ?? globalThis.fetch;
  return async (request) => {
    const { pathname, search } = new URL(request.url);
    const { host: _, ...headers } = withoutConnectionFields(toHeaderRecord(request.headers));
    const body = request.body === null ? null : new Uint8Array(await request.arrayBuffer());
    const response = await call(new URL(options.origin + pathname + search), {
      method: request.method,
      headers: toHeaders(headers),
      body,
      redirect: "manual",
      signal: request.signal,
    });
    return withTrueLength(response);
  };
}

function withTrueLength(response: Response): Response {
  const codings = response.headers.get("content-encoding")?.toLowerCase().split(",") ?? [];
  if (codings.length === 0 || !codings.every((coding) => decodedCodings.has(coding.trim()))) return response;
  const headers = new Headers(response.headers);
  headers.delete("content-encoding");
  headers.delete("content-length");
  return new Response(response.body, { status: response.status, headers });
}
