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
} from "../engine/strategy.ts";
export { parseHttpDate } from "../fields/http-date.ts";
export { cacheKey, type CacheTarget, groupKey } from "../key.ts";
export {
  type CacheMiddleware,
  type CacheMiddlewareOptions,
  createCacheMiddleware,
  createOriginFetch,
  type Next,
  type OriginFetchOptions,
} from "../web/middleware.ts";
export {
  readRequestDirectives,
  readResponseDirectives,
  type RequestDirectives,
  type ResponseDirectives,
} from "./directives.ts";
export { type Freshness, freshnessOf, initialAgeMs, staleOnErrorReason } from "./freshness.ts";
export { createHttpCache, type HandleOptions, type HttpCache, type HttpCacheOptions } from "./http-cache.ts";
export { groupsOf, invalidatedGroups, invalidatedUrls, isUnsafe } from "./invalidation.ts";
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
} from "./messages.ts";
export { type CachePolicy, createPolicy } from "./policy.ts";
export { type PreparedResponse, prepareResponse } from "./prepare-response.ts";
export {
  applyOnlyIfCached,
  bypassReason,
  decideReuse,
  type Decision,
  selectStored,
  type Unsatisfied,
} from "./reuse.ts";
export { evaluateResponse, type EvaluatedResponse, refusalToStore } from "./storing.ts";
export { conditionalHeaders, headAgrees, isNotModified, mergeHeaders, validatorsAgree } from "./validation.ts";
export { readVary, variantOf } from "./variant.ts";
