export { webClock } from "./adapters/web-clock.ts";
export {
  createInProcessCoalescer,
  type InProcessCoalescer,
  type InProcessCoalescerOptions,
} from "./coalesce/create-in-process-coalescer.ts";
export { noCoalescing } from "./coalesce/no-coalescing.ts";
export { currentAgeMs, type ExchangeTimes, initialAgeMs, isClockBehind } from "./decide/age.ts";
export { groupsOf, invalidatedGroups } from "./decide/cache-groups.ts";
export { type CachePolicy, createPolicy } from "./decide/cache-policy.ts";
export type { CacheRequest, ResponseHead } from "./decide/cache-request.ts";
export { bypassReason, decideReuse } from "./decide/decide-reuse.ts";
export type { BypassReason, Decision, Fetch, Hit, HitReason, RevalidateReason } from "./decide/decision.ts";
export { type Freshness, freshnessOf } from "./decide/freshness.ts";
export { invalidatedUrls, isUnsafe } from "./decide/invalidated-urls.ts";
export { isNotModified } from "./decide/is-not-modified.ts";
export { type PreparedAnswer, prepareAnswer } from "./decide/prepare-answer.ts";
export { refusalToStore, type StoreRefusal } from "./decide/refusal-to-store.ts";
export { readRequestDirectives, type RequestDirectives } from "./decide/request-directives.ts";
export { readResponseDirectives, type ResponseDirectives } from "./decide/response-directives.ts";
export { selectStored } from "./decide/select-stored.ts";
export { staleOnErrorReason, type UpstreamTrouble } from "./decide/stale-on-error.ts";
export { isSameVariant, type StoredResponse } from "./decide/stored-response.ts";
export { toStoredResponse } from "./decide/to-stored-response.ts";
export { conditionalHeaders, headAgrees, mergeHeaders, validatorsAgree } from "./decide/validation.ts";
export { readVary, variantOf } from "./decide/variant.ts";
export type { AnswerCache, Ask, AskedAnswer, GivenAnswer, KeptAnswer, ReadOptions } from "./engine/answer-cache.ts";
export type { CacheAnswer, CacheReport } from "./engine/cache-answer.ts";
export type { CacheTrouble } from "./engine/cache-context.ts";
export { type AnswerCacheOptions, createAnswerCache } from "./engine/create-answer-cache.ts";
export {
  createHttpCache,
  type HandleOptions,
  type HttpCache,
  type HttpCacheOptions,
} from "./engine/create-http-cache.ts";
export type { Forward, ForwardedRequest, UnreadBody, UpstreamAnswer } from "./engine/upstream.ts";
export type { HeaderRecord } from "./fields/header-record.ts";
export { parseHttpDate } from "./fields/parse-http-date.ts";
export { cacheKey, type CacheTarget, groupKey } from "./keys/cache-key.ts";
export { encodeKey } from "./keys/encode-key.ts";
export type {
  Background,
  CacheStore,
  Clock,
  Coalescer,
  FlightOutcome,
  FollowingFlight,
  LeadingFlight,
  MaybePromise,
  SoloFlight,
  Turn,
} from "./ports.ts";
export {
  createMemoryCacheStore,
  type MemoryCacheStore,
  type MemoryCacheStoreOptions,
} from "./store/create-memory-cache-store.ts";
export {
  type CacheMiddleware,
  type CacheMiddlewareOptions,
  createCacheMiddleware,
  type Next,
} from "./web/create-cache-middleware.ts";
export { createOriginFetch, type OriginFetchOptions } from "./web/create-origin-fetch.ts";
