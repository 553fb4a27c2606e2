import { createVirtualClock, type VirtualClock } from "@letta-environments/testkit";
import {
  type CacheEntry,
  type CacheResult,
  createInProcessCoalescer,
  createMemoryCacheStore,
  createResponseCache,
  type FetchedResponse,
  type ReadOptions,
  type ResponseCache,
  type ResponseCacheOptions,
} from "../src/index.ts";

/** The value that is fetched. */
export interface Value {
  readonly status: number;
  readonly text: string;
}

const encoder = new TextEncoder();

/** A fetched response that is stored. */
export function fetched(text: string, ttls: Partial<CacheEntry> = {}, status = 200): FetchedResponse<Value> {
  const stored = { freshForMs: 2_000, staleWhileRevalidateMs: 3_000, staleIfErrorMs: 60_000, groups: ["g"], ...ttls };
  return {
    value: { status, text },
    storable: { headers: { "x-text": text }, body: encoder.encode(text), ...stored },
    isError: false,
  };
}

/** A response for which a stale one may be served. */
export const failure: FetchedResponse<Value> = { value: { status: 502, text: "down" }, storable: null, isError: true };

export interface ResponseHarness {
  readonly clock: VirtualClock;
  readonly cache: ResponseCache<Value>;
  readonly failures: string[];
  /** The next responses; the last one is repeated. */
  replies: (FetchedResponse<Value> | Promise<FetchedResponse<Value>> | Error)[];
  fetchCount: number;
  read(options?: ReadOptions, key?: string): Promise<CacheResult<Value>>;
  status(options?: ReadOptions): Promise<string>;
}

/** A response cache in memory with a virtual clock and a scripted origin. */
export function createResponseHarness(options: Partial<ResponseCacheOptions> = {}): ResponseHarness {
  const clock = createVirtualClock();
  const failures: string[] = [];
  const cache = createResponseCache<Value>({
    store: createMemoryCacheStore({ clock }),
    clock,
    coalescer: createInProcessCoalescer({ clock }),
    name: "test",
    onError: (name) => void failures.push(name),
    ...options,
  });
  const harness: ResponseHarness = {
    clock,
    cache,
    failures,
    replies: [fetched("one")],
    fetchCount: 0,
    async read(readOptions, key = "key") {
      return cache.read(
        key,
        async () => {
          harness.fetchCount += 1;
          const next = harness.replies.length > 1 ? harness.replies.shift() : harness.replies[0];
          if (next === undefined || next instanceof Error) throw next ?? new Error("there is no response");
          return next;
        },
        readOptions,
      );
    },
    status: async (readOptions) => (await harness.read(readOptions)).cacheStatus,
  };
  return harness;
}

/** The text of a result, fetched or stored. */
export function textOf(result: CacheResult<Value>): string {
  return result.kind === "fetched" ? result.value.text : new TextDecoder().decode(result.entry.body);
}
