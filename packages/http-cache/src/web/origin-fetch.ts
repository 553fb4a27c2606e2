/** An origin server as a {@link Next}, so that the middleware is a reverse proxy. */
import { isDecoded } from "../adapters/content-codings.ts";
import { defaultName } from "../engine/engine.ts";
import { type HeaderRecord, withoutConnectionFields } from "../fields/header-record.ts";
import type { Next } from "./middleware.ts";
import { createWebBody, toHeaderRecord, toHeaders, withOrigin } from "./web-message.ts";

/** How to reach an origin server. */
export interface OriginFetchOptions {
  /** Such as `http://127.0.0.1:8000`. Path and query come from the request, so slashes at the end are ignored. */
  readonly origin: string;
  /** Default: the `fetch` of the runtime. Another one must decode the same content codings. */
  readonly fetch?: typeof globalThis.fetch;
  /** The name of this proxy in `Via`: a token or a host. Default: `http-cache`. */
  readonly name?: string;
}

/**
 * Creates a {@link Next} that sends requests to one origin server with `fetch`. It streams bodies, does not follow redirects, and removes the fields
 * of the client's connection and `Expect`. If `fetch` has decoded the body, which depends on the coding and the runtime, it also removes
 * `Content-Encoding` and `Content-Length`, and makes a strong `ETag` weak. For a range it accepts no coding, because the parts of a coded body cannot be
 * decoded. As a gateway, it adds itself to `Via`, and answers OPTIONS with `Max-Forwards: 0`, and TRACE.
 *
 * @throws TypeError if `Via` cannot contain the name
 */
export function createOriginFetch(options: OriginFetchOptions): Next {
  const call = options.fetch ?? globalThis.fetch;
  const name = options.name ?? defaultName;
  if (!/^[\w!#$%&'*+\-.^`|~:[\]]+$/.test(name)) throw new TypeError(`name must be a token or a host: ${name}`);
  const origin = options.origin.replace(/\/+$/, "");
  return async (request) => {
    const { pathname, search } = new URL(request.url);
    // Only `fetch` of Bun would send it, and the origin would reflect what is added here.
    if (request.method === "TRACE") return new Response(null, { status: 501 });
    const headers = toForwardedFields(request, name);
    // This server is the final recipient.
    if (headers === null) return new Response(null, { status: 204 });
    const { method, signal } = request;
    const body = await bodyOf(request);
    // `duplex` is required for a stream, and `RequestInit` of the DOM library lacks it.
    const init = { method, headers: toHeaders(headers), body, duplex: "half", redirect: "manual", signal } as const;
    const response = await call(new URL(origin + pathname + search), init);
    return response.status === 304
      ? confirmingDecoded(response, headers["if-none-match"])
      : withoutDecodedCodings(response);
  };
}

/**
 * The body for the origin. On Deno each request but GET and HEAD has one; sent without a length it would go in chunks, although it is empty. A server
 * gives a body that came with the request one of these fields (HTTP/2 may not), so it need not wait for the first byte: the origin may respond before.
 * On Node.js it must wait all the same, because `fetch` sends the head together with the first byte.
 */
async function bodyOf({ body, headers, signal }: Request): Promise<ReadableStream<Uint8Array> | null> {
  if (body === null || headers.has("content-length") || headers.has("transfer-encoding")) return body;
  const unread = createWebBody(body, signal);
  return (await unread.read(0)) === null ? unread.stream() : null;
}

/** The fields for the origin; `null` if the request must not be forwarded. */
function toForwardedFields({ method, headers }: Request, name: string): HeaderRecord | null {
  // `fetch` sends the body without waiting, and in Node.js it rejects `expect`.
  const { host: _, expect: __, ...fields } = withoutConnectionFields(toHeaderRecord(headers));
  if (fields["range"] !== undefined) fields["accept-encoding"] = "identity";
  // A `Request` does not have the HTTP version with which it arrived.
  fields["via"] = fields["via"] ? `${fields["via"]}, 1.1 ${name}` : `1.1 ${name}`;
  const forwards = method === "OPTIONS" ? fields["max-forwards"] : undefined;
  if (forwards === undefined || !/^\d+$/.test(forwards)) return fields;
  if (Number(forwards) === 0) return null;
  return { ...fields, "max-forwards": String(Math.min(Number(forwards), Number.MAX_SAFE_INTEGER) - 1) };
}

/**
 * Removes coding and length from a 304, because they describe the coded body and the stored one may be decoded. If the request carried the strong `ETag`
 * in its weak form, the stored body was decoded, so the 304 gets the weak form, too.
 */
function confirmingDecoded(response: Response, ifNoneMatch: string | undefined): Response {
  const headers = new Headers(response.headers);
  headers.delete("content-encoding");
  headers.delete("content-length");
  const weakened = `W/${headers.get("etag")}`;
  if (ifNoneMatch?.includes(weakened) === true) headers.set("etag", weakened);
  return withOrigin(new Response(null, { status: 304, headers }), response);
}

function withoutDecodedCodings(response: Response): Response {
  if (!isDecoded(response.headers)) return response;
  const headers = new Headers(response.headers);
  headers.delete("content-encoding");
  headers.delete("content-length");
  const tag = headers.get("etag");
  // A strong one is about the coded bytes (RFC 9110, 8.8.3).
  if (tag?.startsWith('"') === true) headers.set("etag", `W/${tag}`);
  return withOrigin(new Response(response.body, { status: response.status, headers }), response);
}
