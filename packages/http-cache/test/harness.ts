import { createVirtualClock, type VirtualClock } from "@letta-environments/testkit";
import {
  type CacheAnswer,
  type CacheRequest,
  createHttpCache,
  createInProcessCoalescer,
  createMemoryCacheStore,
  type ForwardedRequest,
  type HeaderRecord,
  type HttpCache,
  type HttpCacheOptions,
  type MemoryCacheStore,
  type UpstreamAnswer,
} from "../src/index.ts";

export const url = "https://example.test/a";
const encoder = new TextEncoder();
const decoder = new TextDecoder();

/** An answer of the origin. */
export function reply(headers: HeaderRecord = {}, body = "hello", status = 200): UpstreamAnswer {
  return { status, headers, body: encoder.encode(body) };
}

export type Reply = UpstreamAnswer | Error | ((request: ForwardedRequest) => UpstreamAnswer | Promise<UpstreamAnswer>);

export interface Harness {
  readonly clock: VirtualClock;
  readonly store: MemoryCacheStore;
  readonly cache: HttpCache;
  /** What reached the origin. */
  readonly requests: ForwardedRequest[];
  readonly troubles: string[];
  /** What the origin answers next; the last one again and again. */
  readonly replies: Reply[];
  /** Work that outlasts answers. */
  readonly background: Promise<unknown>[];
  send(request?: Partial<CacheRequest>, signal?: AbortSignal): Promise<CacheAnswer>;
  date(offsetSeconds?: number): string;
}

/** A cache in memory with a virtual clock and a scripted origin. */
export function createHarness(options: Partial<HttpCacheOptions> = {}): Harness {
  const clock = createVirtualClock();
  const store = createMemoryCacheStore({ clock });
  const troubles: string[] = [];
  const background: Promise<unknown>[] = [];
  const cache = createHttpCache({
    store,
    clock,
    coalescer: createInProcessCoalescer({ clock }),
    background: (work) => void background.push(work),
    name: "test",
    onTrouble: (trouble) => void troubles.push(trouble),
    ...options,
  });
  const requests: ForwardedRequest[] = [];
  const replies: Reply[] = [];
  const forward = async (request: ForwardedRequest): Promise<UpstreamAnswer> => {
    requests.push(request);
    const next = replies.length > 1 ? replies.shift() : replies[0];
    if (next === undefined) throw new Error("The origin has no answer.");
    if (next instanceof Error) throw next;
    return typeof next === "function" ? next(request) : next;
  };
  return {
    clock,
    store,
    cache,
    requests,
    troubles,
    replies,
    background,
    async send(request = {}, signal) {
      return cache.handle({ method: "GET", url, headers: {}, ...request }, forward, { signal });
    },
    date: (offsetSeconds = 0) => new Date(clock.now() + offsetSeconds * 1_000).toUTCString(),
  };
}

/** The text of an answer's body. */
export function textOf({ body }: CacheAnswer): string {
  return body === null ? "" : decoder.decode(body);
}
