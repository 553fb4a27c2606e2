/** The HTTP cache for `Request` and `Response`, as middleware of an application or in front of an origin server (`origin-fetch.ts`). */
import { isDecodable } from "../adapters/content-codings.ts";
import { webClock } from "../adapters/web-clock.ts";
import { defaultName } from "../engine/engine.ts";
import { createInProcessCoalescer } from "../engine/in-process-coalescer.ts";
import type { HeaderRecord } from "../fields/header-record.ts";
import type { CacheTarget } from "../key.ts";
import type { Background, CacheStore, Clock, MaybePromise } from "../ports.ts";
import { readRequestDirectives } from "../rfc9111/directives.ts";
import { createHttpCache, type HttpCacheOptions, respondUnsatisfied } from "../rfc9111/http-cache.ts";
import type { CacheRequest, CacheResponse, ForwardedRequest, UpstreamResponse } from "../rfc9111/messages.ts";
import { createMemoryCacheStore } from "../store/memory-store.ts";
import { createWebBody, toHeaderRecord, toHeaders, type WebBody, withOrigin } from "./web-message.ts";

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
