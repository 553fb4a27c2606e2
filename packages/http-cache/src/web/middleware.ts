/** The HTTP cache for `Request` and `Response`, as middleware of an application or in front of an origin server. */
import { isDecodable, isDecoded } from "../adapters/content-codings.ts";
import { webClock } from "../adapters/web-clock.ts";
import { defaultName } from "../engine/engine.ts";
import { createInProcessCoalescer } from "../engine/in-process-coalescer.ts";
import { type HeaderRecord, withoutConnectionFields } from "../fields/header-record.ts";
import type { CacheTarget } from "../key.ts";
import type { Background, CacheStore, Clock, MaybePromise } from "../ports.ts";
import { readRequestDirectives } from "../rfc9111/directives.ts";
import { createHttpCache, type HttpCacheOptions, respondUnsatisfied } from "../rfc9111/http-cache.ts";
import type { CacheRequest, CacheResponse, ForwardedRequest, UpstreamResponse } from "../rfc9111/messages.ts";
import { createMemoryCacheStore } from "../store/memory-store.ts";
import { createWebBody, toHeaderRecord, toHeaders, type WebBody } from "./web-message.ts";

/** The options of a middleware. By default, everything is in the memory of this process. */
export interface CacheMiddlewareOptions extends Omit<HttpCacheOptions, "store" | "clock"> {
  readonly store?: CacheStore;
  readonly clock?: Clock;
  /** Key parts in addition to the URL. Only requests with equal parts share responses. Return `null` to bypass the cache. Default: everyone shares. */
  readonly partition?: (request: Request) => readonly string[] | null;
  /**
   * True if `next` follows redirects as `request.redirect` says, as `fetch` does. Then a stored redirect is used only for requests with the mode
   * `manual`, and `next` responds to the others (with `only-if-cached`: 504). An aborted request rejects, even if its response is stored.
   * Default: false, as for a server, which passes redirects on.
   */
  readonly followsRedirects?: boolean;
  /** Whether the client sent credentials. Default: the request has `Authorization`. */
  readonly isAuthorised?: (request: Request) => boolean;
}

/** Sends a request to the origin: an application, a router or `fetch`. Rejects if there is no response. */
export type Next = (request: Request) => MaybePromise<Response>;

/**
 * Responds from the cache or from `next`, and rejects like `next`. `next` may be called after the response was sent, to validate a stale response;
 * `background` (`context.waitUntil`) keeps that work alive. A response with the status 101, such as for a WebSocket, is returned unchanged. Any
 * other response from `next` is rebuilt with `Cache-Status`, and keeps `url`, `redirected` and `statusText`.
 */
export interface CacheMiddleware {
  (request: Request, next: Next, background?: Background): Promise<Response>;
  /**
   * Deletes the stored responses of a resource, only in its partition. Responses in flight are not stored. Rejects if the URL is not absolute, or if the
   * store fails: what is stored then stays.
   */
  invalidate(target: CacheTarget): Promise<void>;
  /** Deletes the responses of a group (`Cache-Groups`) at the target's origin, in its partition, in the same way. */
  invalidateGroup(target: CacheTarget, group: string): Promise<void>;
}

/** Creates an HTTP cache for `Request` and `Response`. */
export function createCacheMiddleware(options: CacheMiddlewareOptions = {}): CacheMiddleware {
  const clock = options.clock ?? webClock;
  const cache = createHttpCache({
    ...options,
    clock,
    store: options.store ?? createMemoryCacheStore({ clock }),
    coalescer: options.coalescer ?? createInProcessCoalescer({ clock }),
  });
  const handle = async (request: Request, next: Next, background?: Background): Promise<Response> => {
    // Like `fetch`, before it reads any cache.
    if (options.followsRedirects === true) request.signal.throwIfAborted();
    const plain = toPlainRequest(request, options);
    if (plain === null) return next(request);
    const received: Response[] = [];
    const forward = async (forwarded: ForwardedRequest): Promise<UpstreamResponse<WebBody>> => {
      const response = await next(toWebRequest(request, plain, forwarded));
      received.push(response);
      return toPlainResponse(response, forwarded.signal);
    };
    const response = await cache.handle<WebBody>(plain, forward, { signal: request.signal, background });
    if (options.followsRedirects === true && request.redirect !== "manual" && isStoredRedirect(response)) {
      const { onlyIfCached } = readRequestDirectives(plain.headers, cache.policy);
      return onlyIfCached ? toWebResponse(respondUnsatisfied(options.name ?? defaultName)) : next(request);
    }
    const fetched = isFromStore(response) ? undefined : received.at(-1);
    if (fetched === undefined) return toWebResponse(response);
    return isConstructible(fetched.status) ? withOrigin(toWebResponse(response), fetched) : fetched;
  };
  return Object.assign(handle, {
    // A `Request` normalises its URL in the same way.
    invalidate: async (target: CacheTarget) => cache.invalidate({ ...target, url: new URL(target.url).href }),
    invalidateGroup: (target: CacheTarget, group: string) => cache.invalidateGroup(target, group),
  });
}

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

function toPlainRequest(request: Request, options: CacheMiddlewareOptions): CacheRequest | null {
  const partition = options.partition === undefined ? [] : options.partition(request);
  if (partition === null) return null;
  const { method, url } = request;
  const plain: CacheRequest = { method, url, headers: withCacheMode(request), partition };
  return options.isAuthorised === undefined ? plain : { ...plain, isAuthorised: options.isAuthorised(request) };
}

/**
 * Directives for the cache modes of `fetch` that avoid stored responses. A `no-store` request still goes through the cache, because an unsafe one
 * invalidates stored responses.
 */
const modeDirectives: ReadonlyMap<RequestCache | undefined, string> = new Map([
  ["no-store", "no-store"],
  ["reload", "no-cache"],
  ["no-cache", "no-cache"],
]);

/**
 * Returns the fields of a request with its cache mode as a directive. Requests that a server receives have the mode `default`, or none in Workers. A
 * request with `integrity` gets `no-store`, because only `fetch` can check the body.
 */
function withCacheMode({ headers, cache, integrity }: Request): HeaderRecord {
  const fields = toHeaderRecord(headers);
  const directive = integrity ? "no-store" : modeDirectives.get(cache);
  if (directive === undefined) return fields;
  const stated = fields["cache-control"];
  return { ...fields, "cache-control": stated === undefined ? directive : `${stated}, ${directive}` };
}

/** Returns the request itself, which may have a body, if nothing was changed. A validation has no body. */
function toWebRequest(request: Request, plain: CacheRequest, { method, headers, signal }: ForwardedRequest): Request {
  if (headers === plain.headers && method === request.method && signal !== undefined) return request;
  const { redirect, referrer, referrerPolicy } = request;
  // The constructor resets the referrer.
  const init: RequestInit = { method, headers: toHeaders(headers), signal: signal ?? null, referrer, referrerPolicy };
  // In a browser, its own cache would respond to the validation, however old its response is.
  if (request.cache === "force-cache") init.cache = "no-store";
  try {
    // Keeps settings without a member, such as `dispatcher` of Node.js and `cf` of Workers.
    return new Request(request, init);
  } catch {
    // A request that this constructor did not create, such as from a polyfill.
    return new Request(request.url, { ...init, redirect });
  }
}

const redirectStatuses: ReadonlySet<number> = new Set([301, 302, 303, 307, 308]);

function isFromStore({ report: { outcome } }: CacheResponse<WebBody>): boolean {
  return outcome !== "fetched" && outcome !== "bypassed";
}

/** True for a redirect from the store that `fetch` would follow. */
function isStoredRedirect(response: CacheResponse<WebBody>): boolean {
  const { status, headers } = response;
  return isFromStore(response) && redirectStatuses.has(status) && headers["location"] !== undefined;
}

/**
 * False for the statuses that only runtimes create: 101 of an upgraded connection, whose socket belongs to the `Response`, and 0 of a redirect
 * or error that a browser hides.
 */
function isConstructible(status: number): boolean {
  return status >= 200 && status <= 599;
}

/**
 * Adds the information that `fetch` has about a response in addition to its fields. No constructor takes a URL, and some refuse the reason
 * phrases that servers send.
 */
function withOrigin(response: Response, { url, redirected, status, statusText }: Response): Response {
  Object.defineProperties(response, { url: { value: url }, redirected: { value: redirected } });
  // The cache may have made a 304 or a range from the fetched response.
  return response.status === status ? Object.defineProperty(response, "statusText", { value: statusText }) : response;
}

function toPlainResponse(response: Response, signal: AbortSignal | undefined): UpstreamResponse<WebBody> {
  const { status, headers, body, redirected } = response;
  return {
    status,
    isRedirected: redirected,
    // A `Response` does not show whether it comes from `fetch`, or was made from one that does.
    isDecoded: isDecodable(headers),
    headers: toHeaderRecord(headers),
    body: body === null ? new Uint8Array() : createWebBody(body, signal),
  };
}

const bodilessStatuses: ReadonlySet<number> = new Set([204, 205, 304]);

function toWebResponse({ status, headers, body }: CacheResponse<WebBody>): Response {
  const init: ResponseInit = { status, headers: toHeaders(headers) };
  if (body === null || bodilessStatuses.has(status)) return new Response(null, init);
  if (!(body instanceof Uint8Array)) return new Response(body.stream(), init);
  // `Response` copies the bytes, so readers cannot change the memory of the store. For an empty body, servers would state a length, also to HEAD.
  return new Response(body.length === 0 ? null : (body as Uint8Array<ArrayBuffer>), init);
}
