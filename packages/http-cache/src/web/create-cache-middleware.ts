import { webClock } from "../adapters/web-clock.ts";
import { createInProcessCoalescer } from "../coalesce/create-in-process-coalescer.ts";
import type { CacheRequest } from "../decide/cache-request.ts";
import type { CacheAnswer } from "../engine/cache-answer.ts";
import { createHttpCache, type HttpCacheOptions } from "../engine/create-http-cache.ts";
import type { ForwardedRequest, UpstreamAnswer } from "../engine/upstream.ts";
import type { Background, CacheStore, Clock, MaybePromise } from "../ports.ts";
import { createMemoryCacheStore } from "../store/create-memory-cache-store.ts";
import { createWebBody, type WebBody } from "./web-body.ts";
import { toHeaderRecord, toHeaders } from "./web-headers.ts";

/** What a middleware is made of. Default: everything in the memory of this process. */
export interface CacheMiddlewareOptions extends Omit<HttpCacheOptions, "store" | "clock"> {
  readonly store?: CacheStore;
  readonly clock?: Clock;
  /** Who shares answers with whom: the parts of the key beside the URL. `null` keeps a request away from the cache. Default: everybody. */
  readonly partition?: (request: Request) => readonly string[] | null;
  /** Whether a request carries credentials of its own. Default: it has an `Authorization`. */
  readonly isAuthorised?: (request: Request) => boolean;
}

/** Answers the request that it is given. Rejects where there is no answer. */
export type Next = (request: Request) => MaybePromise<Response>;

/**
 * Answers from the cache or by `next`, and rejects as that does. `next` may be called after the answer, to validate what was sent stale: `background`
 * (`context.waitUntil`) keeps that alive.
 */
export type CacheMiddleware = (request: Request, next: Next, background?: Background) => Promise<Response>;

const bodilessStatuses: ReadonlySet<number> = new Set([101, 103, 204, 205, 304]);

/** Creates a cache for `Request` and `Response`. */
export function createCacheMiddleware(options: CacheMiddlewareOptions = {}): CacheMiddleware {
  const clock = options.clock ?? webClock;
  const cache = createHttpCache({
    ...options,
    clock,
    store: options.store ?? createMemoryCacheStore({ clock }),
    coalescer: options.coalescer ?? createInProcessCoalescer({ clock }),
  });
  return async (request, next, background) => {
    const plain = toPlainRequest(request, options);
    if (plain === null) return next(request);
    const forward = async (forwarded: ForwardedRequest): Promise<UpstreamAnswer<WebBody>> =>
      toPlainAnswer(await next(toWebRequest(request, plain, forwarded)));
    return toResponse(await cache.handle<WebBody>(plain, forward, { signal: request.signal, background }));
  };
}

function toPlainRequest(request: Request, options: CacheMiddlewareOptions): CacheRequest | null {
  const partition = options.partition === undefined ? [] : options.partition(request);
  if (partition === null) return null;
  const { method, url } = request;
  const plain: CacheRequest = { method, url, headers: toHeaderRecord(request.headers), partition };
  return options.isAuthorised === undefined ? plain : { ...plain, isAuthorised: options.isAuthorised(request) };
}

/** The request itself where nothing was changed; it may hold a body. */
function toWebRequest(request: Request, plain: CacheRequest, { method, headers, signal }: ForwardedRequest): Request {
  if (headers === plain.headers && method === request.method && signal !== undefined) return request;
  const { credentials, redirect } = request;
  return new Request(request.url, {
    method,
    headers: toHeaders(headers),
    redirect,
    // Workers know no credentials mode.
    ...(credentials === undefined ? {} : { credentials }),
    ...(signal === undefined ? {} : { signal }),
  });
}

function toPlainAnswer(response: Response): UpstreamAnswer<WebBody> {
  const { status, headers, body } = response;
  return {
    status,
    headers: toHeaderRecord(headers),
    body: body === null ? new Uint8Array() : createWebBody(body),
  };
}

function toResponse({ status, headers, body }: CacheAnswer<WebBody>): Response {
  const init: ResponseInit = { status, headers: toHeaders(headers) };
  if (body === null || bodilessStatuses.has(status)) return new Response(null, init);
  // A response copies bytes, so the store's memory is out of reach of whoever reads it.
  return new Response(body instanceof Uint8Array ? (body as Uint8Array<ArrayBuffer>) : body.stream(), init);
}
