/** The module `@letta-environments/http-cache/rfc9111`: an HTTP cache for requests and responses, and each of its decisions as a function. */
export type {
  Bypass,
  BypassReason,
  ErrorReason,
  Hit,
  HitReason,
  Miss,
  Revalidate,
  RevalidateReason,
  StoreRefusal,
  UpstreamFailure,
} from "./engine/strategy.ts";
export { parseHttpDate } from "./fields/http-date.ts";
export { cacheKey, type CacheTarget, groupKey } from "./key.ts";
export {
  type CacheMiddleware,
  type CacheMiddlewareOptions,
  createCacheMiddleware,
  type Next,
} from "./web/middleware.ts";
export { createOriginFetch, type OriginFetchOptions } from "./web/origin-fetch.ts";
export {
  readRequestDirectives,
  readResponseDirectives,
  type RequestDirectives,
  type ResponseDirectives,
} from "./rfc9111/directives.ts";
export { type Freshness, freshnessOf, initialAgeMs, staleOnErrorReason } from "./rfc9111/freshness.ts";
export { createHttpCache, type HandleOptions, type HttpCache, type HttpCacheOptions } from "./rfc9111/http-cache.ts";
export { groupsOf, invalidatedGroups, invalidatedUrls, isUnsafe } from "./rfc9111/invalidation.ts";
export type {
  CacheReport,
  CacheRequest,
  CacheResponse,
  ExchangeTimes,
  Forward,
  ForwardedRequest,
  ResponseHead,
  UnreadBody,
  UpstreamResponse,
} from "./rfc9111/messages.ts";
export { type CachePolicy, createPolicy } from "./rfc9111/policy.ts";
export { type PreparedResponse, prepareResponse } from "./rfc9111/prepare-response.ts";
export {
  applyOnlyIfCached,
  bypassReason,
  decideReuse,
  type Decision,
  selectStored,
  type Unsatisfied,
} from "./rfc9111/reuse.ts";
export { evaluateResponse, type EvaluatedResponse, refusalToStore } from "./rfc9111/storing.ts";
export { conditionalHeaders, headAgrees, isNotModified, mergeHeaders, validatorsAgree } from "./rfc9111/validation.ts";
export { readVary, variantOf } from "./rfc9111/variant.ts";
