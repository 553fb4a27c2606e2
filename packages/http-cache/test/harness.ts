import { createVirtualClock, type VirtualClock } from "@letta-environments/testkit";
import {
  createInProcessCoalescer,
  createMemoryCacheStore,
  type HeaderRecord,
  type MemoryCacheStore,
} from "../src/index.ts";
import {
  type CacheRequest,
  type CacheResponse,
  createHttpCache,
  type ForwardedRequest,
  type HttpCache,
  type HttpCacheOptions,
  type UpstreamResponse,
} from "../src/rfc9111.ts";

export const url = "https://example.test/a";
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** A response of the origin. */
export function reply(headers: HeaderRecord = {}, body = "hello", status = 200): UpstreamResponse {
  return { status, headers, body: encoder.encode(body) };
}

export type Reply =
  | UpstreamResponse
  | Error
  | ((request: ForwardedRequest) => UpstreamResponse | Promise<UpstreamResponse>);

export interface Harness {
  readonly clock: VirtualClock;
  readonly store: MemoryCacheStore;
  readonly cache: HttpCache;
  /** The requests that reached the origin. */
  readonly requests: ForwardedRequest[];
  readonly failures: string[];
  /** The next responses of the origin; the last one is repeated. */
  readonly replies: Reply[];
  /** Work that continues after the response. */
  readonly background: Promise<unknown>[];
  send(request?: Partial<CacheRequest>, signal?: AbortSignal): Promise<CacheResponse>;
  date(offsetSeconds?: number): string;
}

/** A cache in memory with a virtual clock and a scripted origin. */
export function createHarness(options: Partial<HttpCacheOptions> = {}): Harness {
  const clock = createVirtualClock();
  const store = createMemoryCacheStore({ clock });
  const failures: string[] = [];
  const background: Promise<unknown>[] = [];
  const cache = createHttpCache({
    store,
    clock,
    coalescer: createInProcessCoalescer({ clock }),
    background: (work) => void background.push(work),
    name: "test",
    onError: (failure) => void failures.push(failure),
    ...options,
  });
  const requests: ForwardedRequest[] = [];
  const replies: Reply[] = [];
  const forward = async (request: ForwardedRequest): Promise<UpstreamResponse> => {
    requests.push(request);
    const next = replies.length > 1 ? replies.shift() : replies[0];
    if (next === undefined) throw new Error("The origin has no response.");
    if (next instanceof Error) throw next;
    return typeof next === "function" ? next(request) : next;
  };
  return {
    clock,
    store,
    cache,
    requests,
    failures,
    replies,
    background,
    async send(request = {}, signal) {
      return cache.handle({ method: "GET", url, headers: {}, ...request }, forward, { signal });
    },
    date: (offsetSeconds = 0) => new Date(clock.now() + offsetSeconds * 1_000).toUTCString(),
  };
}

/** The text of a response body. */
export function textOf({ body }: CacheResponse): string {
  return body === null ? "" : decoder.decode(body);
}

/** A promise, and the function that resolves it. */
export function deferred<Value>(): { readonly promise: Promise<Value>; readonly resolve: (value: Value) => void } {
  let resolve: (value: Value) => void = () => undefined;
  const promise = new Promise<Value>((resolvePromise) => {
    resolve = resolvePromise;
  });
  return { promise, resolve };
}
