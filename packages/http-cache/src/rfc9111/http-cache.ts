/**
 * The HTTP cache over plain values, composed of the engine and the decisions of RFC 9111. `web/middleware.ts` is the one over `Request` and
 * `Response`.
 */
import { type CacheOptions, createCacheEngine, defaultName } from "../engine/engine.ts";
import type { FetchDecision, Hit, StoreRefusal } from "../engine/strategy.ts";
import { type CacheTarget, cacheKey, groupKey } from "../key.ts";
import type { Background, MaybePromise } from "../ports.ts";
import { createHttpStrategy, givenCandidate, type HttpCall } from "./http-strategy.ts";
import {
  type CacheRequest,
  type CacheResponse,
  type ExchangeTimes,
  type Forward,
  keyOf,
  type UnreadBody,
  type UpstreamResponse,
} from "./messages.ts";
import { type CachePolicy, createPolicy } from "./policy.ts";
import { applyOnlyIfCached, type Decision } from "./reuse.ts";

/** The options of an {@link HttpCache}. */
export interface HttpCacheOptions extends CacheOptions {
  readonly policy?: Partial<CachePolicy>;
}

/** The options of one request. */
export interface HandleOptions {
  /** Aborts when the client goes away. */
  readonly signal?: AbortSignal | undefined;
  /** Replaces the cache's own background, if each request has its own `waitUntil`. */
  readonly background?: Background | undefined;
}

/** An HTTP cache over plain values. With a synchronous store, `lookUp`, `respond` and the hits of `handle` are synchronous. */
export interface HttpCache {
  readonly policy: CachePolicy;
  /** Decides what to do with a request. */
  lookUp(request: CacheRequest): MaybePromise<Decision>;
  /** The response to a hit. */
  respond(request: CacheRequest, hit: Hit): CacheResponse;
  /** Does everything: responds from the store, or forwards, stores, validates and invalidates. Rejects like `forward`. */
  handle<Unread extends UnreadBody = never>(
    request: CacheRequest,
    forward: Forward<Unread>,
    options?: HandleOptions,
  ): MaybePromise<CacheResponse<Unread>>;
  /**
   * Stores a response that was fetched elsewhere. Resolves to the reason if it was not stored, else to `null`. It counts as requested now, so a
   * response that is being fetched does not replace it; if that response has a later `Date`, neither stays.
   */
  store(request: CacheRequest, response: UpstreamResponse, times: ExchangeTimes): Promise<StoreRefusal | null>;
  /** Deletes the stored responses of a resource in its partition. Rejects if the store fails: what is stored then stays. */
  invalidate(target: CacheTarget): Promise<void>;
  /** Deletes the responses of a group at the target's origin, in its partition. Rejects as `invalidate` does, and if the URL is not absolute. */
  invalidateGroup(target: CacheTarget, group: string): Promise<void>;
}

/**
 * Creates an {@link HttpCache}.
 *
 * @throws TypeError if the name is not a token
 */
export function createHttpCache(options: HttpCacheOptions): HttpCache {
  const { name = defaultName, clock } = options;
  const policy = createPolicy(options.policy);
  const strategy = createHttpStrategy(name, policy, clock);
  const engine = createCacheEngine(options, strategy);

  function proceed(call: HttpCall, looked: Hit | FetchDecision): MaybePromise<CacheResponse<UnreadBody>> {
    const decision = applyOnlyIfCached(call.request, looked, policy);
    return decision.kind === "unsatisfied" ? respondUnsatisfied(name) : engine.proceed(call, decision);
  }

  return {
    policy,
    lookUp(request) {
      const decision = engine.lookUp(toLookUp(request));
      return decision instanceof Promise
        ? decision.then((decided) => applyOnlyIfCached(request, decided, policy))
        : applyOnlyIfCached(request, decision, policy);
    },
    respond: (request, hit) => strategy.fromStored(toLookUp(request), hit, null) as CacheResponse,
    handle<Unread extends UnreadBody>(
      request: CacheRequest,
      forward: Forward<Unread>,
      { signal, background }: HandleOptions = {},
    ) {
      const call: HttpCall = { key: keyOf(request), request, forward, signal, background };
      const decision = engine.lookUp(call);
      const response =
        decision instanceof Promise ? decision.then((decided) => proceed(call, decided)) : proceed(call, decision);
      // An unread body can only be one that this call's `forward` returned.
      return response as MaybePromise<CacheResponse<Unread>>;
    },
    store: (request, response, times) =>
      engine.store(keyOf(request), (read) => givenCandidate(request, response, times, policy, read)),
    invalidate: (target) => engine.invalidate({ keys: [cacheKey(target)] }),
    invalidateGroup: async (target, group) => engine.invalidate({ groups: [groupKey(target, group)] }),
  };
}

function toLookUp(request: CacheRequest): HttpCall {
  return { key: keyOf(request), request, forward: neverForward, signal: undefined };
}

function neverForward(): Promise<never> {
  return Promise.reject(new Error("a lookup sends nothing to the origin"));
}

/** 504 for a client that accepts only a stored response (RFC 9111, 5.2.1.7). */
export function respondUnsatisfied(name: string): CacheResponse {
  return {
    status: 504,
    headers: { "cache-status": `${name}; detail=only-if-cached`, "cache-control": "no-store", "content-length": "0" },
    body: null,
    report: { outcome: "unsatisfied", reason: "only-if-cached", refusal: null, isCollapsed: null },
  };
}
