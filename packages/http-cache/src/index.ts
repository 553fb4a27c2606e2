/**
 * The module `@letta-environments/http-cache`: a cache of responses whose lifetimes are known, and its store in memory. HTTP semantics are in
 * `./rfc9111`.
 */
export { webClock } from "./adapters/web-clock.ts";
export type { CacheOptions } from "./engine/engine.ts";
export type { CacheFailure } from "./engine/guarded-store.ts";
export {
  createInProcessCoalescer,
  type InProcessCoalescer,
  type InProcessCoalescerOptions,
  noCoalescing,
} from "./engine/in-process-coalescer.ts";
export type { HeaderRecord } from "./fields/header-record.ts";
export { decodeKey, encodeKey } from "./key.ts";
export {
  type Background,
  type CacheEntry,
  type CacheStore,
  type Clock,
  type Coalescer,
  currentAgeMs,
  type FetchOutcome,
  type Follower,
  type FollowerAction,
  isClockBehind,
  isSameVariant,
  type Leader,
  type MaybePromise,
  type Solo,
  type PutFetched,
  type Variant,
} from "./ports.ts";
export {
  type CacheMode,
  type CacheResult,
  createResponseCache,
  type FetchedResponse,
  type FetchResponse,
  type ReadOptions,
  type ResponseCache,
  type ResponseCacheOptions,
} from "./response-cache.ts";
export { createMemoryCacheStore, type MemoryCacheStore, type MemoryCacheStoreOptions } from "./store/memory-store.ts";
